"""How long a test waits for what has to come.

A deadline ends a wait that would never end, and judges nothing: the benchmarks say how fast Slipway
is. Seconds in tests are those of a machine with nothing else to do. `make test` has several workers
on two cores, and others may have work on the same machine.
"""

PATIENCE = 3.0


def patient(seconds: float) -> float:
    """Return how long to wait for what comes within these seconds on a quiet machine."""
    return PATIENCE * seconds
