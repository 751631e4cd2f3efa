"""`python -m segsync`."""

from __future__ import annotations

import os
import sys

from segsync.cli import app

PROGRAM = "segsync"
"""What completes in a shell is this command, whichever way the program was called."""


def main() -> None:
    """The console script."""
    _open_what_is_closed()
    try:
        app(prog_name=PROGRAM)
    except OSError as error:  # of the command line's own printing, into a full disk say: all else tells of its own
        sys.exit(f"Error: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - whatever it is, a user reads a sentence
        from segsync.errors import defect  # noqa: PLC0415 - `--help` should not wait for it

        sys.exit(f"Error: {defect(error)}")


def _open_what_is_closed() -> None:
    """Have a standard stream that is closed lead nowhere: else the next file, the ledger say, gets its place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="replace"))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    main()
