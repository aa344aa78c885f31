"""Answers of model servers: decoded, and compared output by output.

The check of a candidate and the comparer of pairs compare by the same rules, in the words of golden
sets.
"""
