"""Checks a candidate before users see it: golden set and signature."""
