"""Local endpoints: which interface is whose, and which policies govern it."""

from __future__ import annotations

import enum

import msgspec

from tortie.base.addresses import Cidr
from tortie.desired.limits import NO_LIMITS, Limits
from tortie.desired.policy import Direction, PolicyList


class EndpointId(msgspec.Struct, frozen=True, order=True, gc=False):
    """Namespace and name of a WorkloadEndpoint resource."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Migration(enum.Enum):
    """The part that an endpoint plays while its virtual machine moves from host to host."""

    NONE = "none"
    SOURCE = "source"
    """It leaves, and has the traffic still."""
    TARGET = "target"
    """It arrives, and gets the traffic when the machine runs here."""


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """One workload interface of this node.

    Args:
        interface: name of the host's end.
        addresses: the workload's own addresses, each of full length; no other source may be used
            but `allowed_sources`.
        mac: the workload's hardware address, or empty.
        active: an inactive endpoint sends and receives nothing.
    """

    id: EndpointId
    interface: str
    addresses: tuple[Cidr, ...]
    ingress: PolicyList
    egress: PolicyList
    mac: str = ""
    active: bool = True
    allowed_sources: tuple[Cidr, ...] = ()
    ingress_limits: Limits = NO_LIMITS
    egress_limits: Limits = NO_LIMITS
    migration: Migration = Migration.NONE

    def limits(self, direction: Direction) -> Limits:
        """Of one direction."""
        return self.ingress_limits if direction is Direction.INGRESS else self.egress_limits
