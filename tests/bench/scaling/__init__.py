"""Replays loads against the scaling rule, beside HPA's rule on the same signal.

A fleet of servers with slots, a queue before them and starts that take time; time goes in steps of
a tenth of a second. Both rules see requests in flight; only ours sees them every second.
"""
