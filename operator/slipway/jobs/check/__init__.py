"""The check Job: before any traffic, a candidate answers a golden set and shows its signature.

What belongs here: asking servers, reading golden sets, comparing answers. What never does:
deciding what follows from the verdict, which is the policy's. Start with `check_candidate`.
"""
