"""The version of segsync, for whoever needs nothing else of it."""

from __future__ import annotations

__version__ = "0.1.0"
