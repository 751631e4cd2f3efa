"""A module for each question: `ask` measures, `section` is its part of `results.md`, `problems` are what is wrong."""
