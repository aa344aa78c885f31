"""Free loopback ports for servers of tests and benchmarks."""

import random
import socket

_claims: dict[int, socket.socket] = {}
"""What keeps other processes from a port until this one ends."""


def free_port(first: int = 12_000, last: int = 32_000) -> int:
    """Claim a free loopback port below the ephemeral range, for as long as this process runs.

    A port that the kernel chose may be gone before its server listens: it is of the range that
    every connection takes one of. And Envoy shares a port with any other Envoy that asks for it, so
    two workers that took the same one would answer each other's requests.
    """
    for _ in range(100):
        port = random.randrange(first, last)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0 and _claim(port):
                return port
    raise AssertionError("no free port")


def _claim(port: int) -> bool:
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0slipway-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True
