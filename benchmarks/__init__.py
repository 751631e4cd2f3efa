"""Measurements of segsync against its own sandbox: `python -m benchmarks`. Nothing here passes or fails."""
