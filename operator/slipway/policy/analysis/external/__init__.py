"""Metrics from outside the router: queries about two revisions, and what their answers mean.

What belongs here: filling a user's queries, checking them, and turning answers (and the state of
containers) into the readings of `analysis.inputs`. What never does: asking, which is an adapter's
work, and judging, which is `analysis.metrics`. Start with `readings.read_answers`.
"""
