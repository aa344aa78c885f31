"""Rollout after rollout under load and disturbances; what clients lost, and what was slow."""
