"""How good the verdicts are: the operator's own analysis under virtual time, beside its peers.

Run: ``make bench-analysis``, or ``python -m tests.bench.analysis --help``.
"""
