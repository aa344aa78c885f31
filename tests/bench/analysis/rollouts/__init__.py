"""Whole rollouts: a service with requests in flight, and the operator's own state machine."""
