"""Machinery that knows no domain: workqueue, cache, sweep, Lease, event recorder."""
