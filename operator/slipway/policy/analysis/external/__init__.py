"""Metrics from outside the router: queries, answers, and what they mean.

What belongs here: turning a user's metric into questions, and answers into readings. What never
does: asking (that is an adapter's), and judging (`analysis.metrics`). Start with `readings`.
"""
