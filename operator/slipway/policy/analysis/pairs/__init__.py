"""Pairs of answers: what they say of a candidate."""
