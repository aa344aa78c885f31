"""The mathematics of verdicts: tests that may be looked at at any time, intervals, dispersion.

What belongs here: formulas with their assumptions and sources, on plain numbers. What never does:
revisions, metrics, wording. Jobs use it as well. Start with `eprocess`.
"""
