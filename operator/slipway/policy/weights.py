"""Weights of traffic, in percent."""

ALL = 100
"""All of the traffic."""
