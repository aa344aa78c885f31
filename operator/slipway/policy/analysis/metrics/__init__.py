"""One file per kind of metric: what its numbers say for and against the candidate.

What belongs here: the assessment of one metric from counters or readings. What never does: reading
them, and weighing metrics against each other (`analysis.merge`). Start with `share`, the most
common kind; `by_reading` picks the kind for a metric from outside the router.
"""
