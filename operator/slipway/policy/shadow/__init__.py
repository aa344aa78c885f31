"""Pairs of answers: what routers count of them, what a look came to, and its budget."""
