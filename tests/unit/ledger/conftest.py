from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsync.ledger.database import Ledger
from tests.support.ledgers import open_ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "segsync.db"


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened
