"""`python -m segsync`."""

from __future__ import annotations

import os
import sys

from segsync.cli.app import app

PROGRAM = "segsync"
"""The command that a shell completes, whichever way the program was called."""


def main() -> None:
    """The console script."""
    _open_what_is_closed()
    try:
        app(prog_name=PROGRAM)
    except OSError as error:  # printing the help failed, e.g. on a full disk; other errors are handled
        sys.exit(f"Error: {error.strerror}")
    except Exception as error:  # noqa: BLE001 - a user reads a sentence, whatever it is
        from segsync.errors import defect  # noqa: PLC0415 - `--help` should not wait for it

        sys.exit(f"Error: {defect(error).with_code}")


def _open_what_is_closed() -> None:
    """Open standard streams that are closed on nothing: else the next file, e.g. the ledger, gets their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8", errors="replace"))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    main()
