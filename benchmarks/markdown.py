"""Tables for `results.md`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, texts: int = 1) -> str:
    """A table whose first `texts` columns are text and whose others are numbers, right-aligned."""
    alignment = ["---" if number < texts else "---:" for number in range(len(columns))]
    lines = (columns, alignment, *rows)
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
