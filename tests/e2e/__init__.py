"""End to end: real rollouts on the running cluster, and what must not disturb them.

The modules run in the order of their numbers. A client load goes on from the first to the last but
one, and every test says what it may cost: nothing, but where a model itself takes requests down.
"""
