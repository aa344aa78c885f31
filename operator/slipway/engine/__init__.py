"""Machinery that knows no domain: work queue, cache, sweep, leader election, events."""
