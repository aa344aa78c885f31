import errno
import socket

import pytest
from slipway.agent.listen_address import choose_listen_address
from slipway.render.envoy import ANY_ADDRESS, ANY_IPV4


class WithoutIPv6(socket.socket):
    """A socket of a kernel without IPv6."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family)


class WithoutAddresses(socket.socket):
    """A socket of a network in which nothing of IPv6 can be bound."""

    def bind(self, address: object) -> None:
        if self.family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        super().bind(address)  # type: ignore[arg-type]


def test_listeners_take_both_families_where_the_kernel_does() -> None:
    assert choose_listen_address() == ANY_ADDRESS


@pytest.mark.parametrize("kernel", [WithoutIPv6, WithoutAddresses])
def test_listeners_take_ipv4_where_the_kernel_has_nothing_else(
    monkeypatch: pytest.MonkeyPatch, kernel: type[socket.socket]
) -> None:
    monkeypatch.setattr(socket, "socket", kernel)

    assert choose_listen_address() == ANY_IPV4
