"""`python -m segsync`."""

from __future__ import annotations

from segsync.cli import app

PROGRAM = "segsync"
"""What completes in a shell is this command, whichever way the program was called."""


def main() -> None:
    """The console script."""
    app(prog_name=PROGRAM)


if __name__ == "__main__":
    main()
