from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def _looks_for_results_without_delay() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segsync.pipeline.results.LOOK_SECONDS", 0.02)
        yield
