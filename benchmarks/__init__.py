"""Measurements of segsync and its peers against segsync's sandbox: `python -m benchmarks`.

`questions` has a file for each question, and `contestants` the programs that make the same import. `measure` starts one
of them and reads its account. A run writes all of `results`: `results.md`, `results.json` and the plots.
"""
