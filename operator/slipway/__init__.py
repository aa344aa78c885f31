"""Slipway: a Kubernetes operator that rolls out models, judged on measured evidence."""

__version__ = "0.1.0"
