"""Static routes of BIRD: a node's blocks, the addresses of services, and ways to neighbours. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tortie.base.addresses import Cidr
from tortie.desired.bgp import BGPNode

BLOCKS = "blocks"
SERVICES = "services"
NEIGHBOURS = "neighbours"


def render_statics(node: BGPNode, family: int) -> str:
    """The static protocols of a family."""
    # Traffic to an address of a block that nobody holds must end here, not leave by the default route.
    blocks = [f"{block} blackhole" for block in sorted(node.blocks) if block.family == family and not block.is_host]
    services = [f"{cidr} blackhole" for cidr in node.services.announced if cidr.family == family]
    gateways = {(session.peer, session.gateway) for session in node.sessions if session.gateway is not None}
    neighbours = [f"{peer} via {gateway.text}" for peer, gateway in sorted(gateways) if peer.family == family]
    return "".join(
        [
            _protocol(BLOCKS, family, blocks),
            _protocol(SERVICES, family, services),
            _protocol(NEIGHBOURS, family, neighbours),
        ]
    )


def held(blocks: Iterable[Cidr], family: int) -> list[Cidr]:
    """Blocks of a family, sorted."""
    return sorted(block for block in blocks if block.family == family)


def _protocol(name: str, family: int, routes: Iterable[str]) -> str:
    lines = "".join(f"    route {route};\n" for route in routes)
    return f"protocol static {name}{family} {{\n    ipv{family};\n{lines}}}\n"
