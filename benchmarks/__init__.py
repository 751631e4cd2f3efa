"""Measurements of segsync and its peers against its own sandbox: `python -m benchmarks`.

`questions` has a file for each question, `contestants` the programs that make the same import, `measure` starts one of
them and reads its account. `results.md`, `results.json` and the plots in `results` are all written by it.
"""
