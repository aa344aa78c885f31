"""Where Envoy can listen, which shares the agent's network and so its kernel's abilities."""

import socket

from slipway.render.envoy import ANY_ADDRESS, ANY_IPV4


def choose_listen_address() -> str:
    """Return the address on which clients of each IP family that there is can connect.

    Tried instead of asked: a kernel may be started without IPv6, and `::` cannot be bound then.
    """
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind((ANY_ADDRESS, 0))
    except OSError:
        return ANY_IPV4
    return ANY_ADDRESS
