"""Verdicts: what counters say about the candidate, beside the stable revision."""
