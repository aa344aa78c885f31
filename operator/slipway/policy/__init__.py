"""Decisions: pure functions of facts and the time that is passed in."""
