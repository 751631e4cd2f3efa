from __future__ import annotations

from pathlib import Path

import pytest

from segsync.pipeline import results
from tests.job.world import World
from tests.support import memory


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(results, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(results, "LONGEST_LOOK_SECONDS", 0.005)
    monkeypatch.setattr(memory, "READ_SECONDS", 0.0)
    directory = tmp_path / "first"
    directory.mkdir()
    return World(directory)
