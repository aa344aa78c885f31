"""The demo: five versions of a real model on a real cluster, `python -m tests.demo`.

Version 1 is served, version 2 promoted on live traffic, version 3 rejected by the golden set,
version 4 rolled back on live metrics, version 5 rejected on its answers to copies of requests; a
client load runs throughout, and must lose nothing.

Nothing here is simulated, and nothing here tests: the demo shows, and says whether what it showed
was right. Start reading with `rollouts.roll_out`; `story` folds what was seen, `report` sums it up.
"""
