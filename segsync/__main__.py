"""`python -m segsync`."""

from __future__ import annotations

from segsync.cli import app


def main() -> None:
    """The console script."""
    app()


if __name__ == "__main__":
    main()
