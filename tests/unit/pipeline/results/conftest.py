from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsync.ledger.database import Ledger
from segsync.pipeline import results
from tests.support.ledgers import open_ledger
from tests.unit.pipeline.results.scene import Scene


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(results, "LONGEST_LOOK_SECONDS", 0.002)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "segsync.db") as opened:
        yield opened


@pytest.fixture
async def scene(ledger: Ledger) -> Scene:
    scene = Scene(ledger)
    await scene.begin()
    return scene
