"""Desired objects: pure functions from decisions to manifests."""
