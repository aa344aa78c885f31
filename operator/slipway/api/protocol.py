"""The inference protocols that servers speak and routers forward."""

from enum import StrEnum


class Protocol(StrEnum):
    """A protocol that the server speaks."""

    HTTP = "HTTP"
    GRPC = "GRPC"

    @property
    def port_name(self) -> str:
        """The name of its port in every Service and container."""
        return self.value.lower()
