"""Figures: what Slipway costs and how fast it is, each next to its target and the best of others.

``python -m tests.bench`` (make bench) needs no cluster: it runs the operator against an API server
of its own. `docs/figures.md` has the conditions.
"""
