"""Slipway beside Argo Rollouts: the same figures of both, by turns, on one API server."""
