"""The ids of `--ids` that the source does not know: named at the end of a run, and left in a list."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Final

from segsync.errors import OutputError
from segsync.formatting import segment_ids
from segsync.options import ImportOptions
from segsync.pipeline.chosen import ChosenIds
from segsync.report.import_report import ImportReport
from segsync.report.list_writer import one_line
from segsync.report.profile_lists import UNKNOWN_IDS, list_path
from segsync.runtime import open_private, writing

MOST_SHOWN: Final = 10
"""The most unknown ids that a terminal shows."""


def unknown_ids_notes(chosen: ChosenIds, report: ImportReport, options: ImportOptions) -> list[str]:
    """What to know of the unknown ids; none where all are known.

    All of them are left in a list, but not by a dry run, nor in the place of the ids that have to be given again. One
    that cannot be written is named, and nothing else is lost.
    """
    path, notes = list_path(UNKNOWN_IDS, options.lists_directory, options.ledger), list[str]()
    is_input = bool(options.ids) and os.path.realpath(path) == os.path.realpath(options.ids or "")
    is_left = not options.dry_run and (report.state == "done" or not is_input)
    if is_left:
        try:
            _leave(path, chosen)
        except OutputError as error:
            notes.append(f"Error: {error.with_code}")
    if not report.unknown_ids:
        return notes
    shown = ", ".join(map(one_line, islice(chosen.unknown(), MOST_SHOWN)))
    more = f" and {report.unknown_ids - MOST_SHOWN:,} more" if report.unknown_ids > MOST_SHOWN else ""
    where = f" ({path})" if is_left else ""
    notes.append(f"Segment does not know {segment_ids(report.unknown_ids)}{where}: {shown}{more}")
    if report.unknown_ids == chosen.count:
        notes.append("It knows none of them. Are they Segment ids, and are SEGMENT_SPACE_ID and SEGMENT_REGION right?")
    return notes


def _leave(path: Path, chosen: ChosenIds) -> None:
    """Write the list as a whole, or remove that of an earlier run where all ids are known."""
    new = path.with_name(f"{path.name}.new")
    with writing(path):
        with os.fdopen(open_private(new, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as file:
            file.writelines(f"{one_line(segment_id)}\n" for segment_id in chosen.unknown())
            is_empty = not file.tell()
        if is_empty:
            new.unlink()
            path.unlink(missing_ok=True)
        else:
            new.replace(path)
