"""This node's own addresses inside the overlays: taken from pools, kept in its Node, given back when not needed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import structlog

from tortie.api.ippool import IPPool
from tortie.api.node import Node, NodeSpec, NodeStatus, NodeWireguard
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.base.backoff import Backoff
from tortie.base.clock import Clock
from tortie.base.errors import TortieError
from tortie.datastore.resources import ResourceStore
from tortie.desired.state import Changes
from tortie.ipam.allocator import Allocator
from tortie.ipam.errors import AlreadyAssigned
from tortie.ipam.requests import AssignRequest
from tortie.selector.parser import parse

GRACE = 5.0
"""Seconds for which agents keep what no pool asks for any more."""
LOOK_EVERY = 60.0
"""Seconds between two looks at pools and addresses, which others may change."""

_ENCAPSULATES = ("Always", "CrossSubnet")


class Tunnel(msgspec.Struct, frozen=True):
    """One overlay of one family.

    Args:
        mode: the field of a pool that asks for it; empty for WireGuard, which the settings ask for.
        field: of a Node, where the address stands; in its spec, or for IP in IP in that of BGP, or its own.
        handle: beginning of the handle that holds it; the node's name follows.
        type: what the records of addresses call it.
    """

    family: int
    mode: str
    field: str
    handle: str
    type: str


TUNNELS = (
    Tunnel(4, "vxlan_mode", "ipv4_vxlan_tunnel_addr", "vxlan-tunnel-addr-", "vxlanTunnelAddress"),
    Tunnel(6, "vxlan_mode", "ipv6_vxlan_tunnel_addr", "vxlan-v6-tunnel-addr-", "vxlanV6TunnelAddress"),
    Tunnel(4, "ipip_mode", "ipv4_ipip_tunnel_addr", "ipip-tunnel-addr-", "ipipTunnelAddress"),
    Tunnel(4, "", "interface_ipv4_address", "wireguard-tunnel-addr-", "wireguardTunnelAddress"),
    Tunnel(6, "", "interface_ipv6_address", "wireguard-v6-tunnel-addr-", "wireguardV6TunnelAddress"),
)
"""As Calico calls them, so that a node that changes over keeps its addresses."""

_KEYS = {4: "wireguard_public_key", 6: "wireguard_public_key_v6"}
"""Fields of a Node's status, by family."""
_NAMES = {"vxlan_mode": " with VXLAN", "ipip_mode": " with IP in IP", "": ""}


class Encryption(msgspec.Struct, frozen=True):
    """What this node's WireGuard is like.

    Args:
        families: that are to be encrypted; None while that is not known.
        keys: public ones, of devices that work.
    """

    families: frozenset[int] | None = frozenset()
    keys: Mapping[int, bytes] = {}


class TunnelAddresses:
    """Keeps the addresses of one node as its pools ask, and its keys of WireGuard.

    Args:
        refusal: why nothing may be written now; empty when it may.
        encryption: tells of WireGuard.
        grace: seconds for which an address is kept, and its tunnel with it, that no pool asks for any more: other nodes
            may not have heard of it yet.
        pools: prefixes of those of the cluster.
    """

    def __init__(
        self,
        node: str,
        store: ResourceStore,
        allocator: Allocator,
        clock: Clock,
        refusal: Callable[[], str],
        encryption: Callable[[], Encryption] = Encryption,
        grace: float = 0,
        pools: Callable[[], Collection[Cidr]] = tuple,
    ) -> None:
        self._grace = grace
        self._pools = pools
        self._unneeded: dict[str, float] = {}
        self._encryption = encryption
        self._seen = Encryption()
        self._node = node
        self._store = store
        self._allocator = allocator
        self._clock = clock
        self._refusal = refusal
        self._wake = asyncio.Event()
        self._log = structlog.get_logger("tortie.tunnels")
        self.problem = ""

    def after_pass(self, changes: Changes) -> None:
        """To be called after every pass of the reconciler."""
        of_pools = not changes.cluster_routes.isdisjoint(self._pools())
        if changes.network or changes.vteps or of_pools or self._encryption() != self._seen:
            self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        backoff = Backoff(first=0.2, limit=30)
        while True:
            self._wake.clear()
            delay = LOOK_EVERY
            try:
                self.problem = self._refusal() or await self.settle()
                backoff.reset()
            except TortieError as error:
                self.problem = f"no tunnel address: {error}"
                delay = backoff.next()
            if self._unneeded:
                delay = min(delay, max(self._grace, 0.1))
            if self.problem:
                self._log.warning("tunnel_address_missing", reason=self.problem)
                delay = min(delay, backoff.next())
            await self._pause(delay)

    async def settle(self) -> str:
        """Bring addresses and Node to what the pools ask; returns what is missing for that. Raises TortieError."""
        key = ResourceKey(Node.kind, "", self._node)
        node = await self._store.get(key)
        if not isinstance(node, Node):
            return ""
        encryption = self._seen = self._encryption()
        if encryption.families is None:
            return ""
        pools = [pool for pool in await self._store.list(IPPool.kind) if isinstance(pool, IPPool)]
        found = {one.field: await self._address(one, node, _asking(pools, one, encryption)) for one in TUNNELS}
        status = _with_keys(node.status, encryption)
        wanted = msgspec.structs.replace(node, spec=_with(node.spec, found), status=status)
        if wanted != node:
            await self._store.update(wanted)
            self._log.info("tunnel_addresses", **{field: text for field, text in found.items() if text})
        missing = [one for one in TUNNELS if not found[one.field] and _asking(pools, one, encryption)]
        if missing:
            what = f"IPv{missing[0].family} pool{_NAMES[missing[0].mode]}"
            return f"no enabled {what} gives this node addresses of tunnels (see allowedUses)"
        return ""

    async def _address(self, tunnel: Tunnel, node: Node, pools: Sequence[IPPool]) -> str:
        """The address to have, or empty; `pools` are those that the tunnel is for."""
        handle = f"{tunnel.handle}{self._node}"
        held = await self._allocator.addresses_of(handle)
        if pools or not held:
            self._unneeded.pop(tunnel.field, None)
        keepable = [one for one in held if any(_prefix(pool).contains(one) for pool in pools)]
        current = _current(node.spec, tunnel)
        if keepable:
            recorded = [one.text for one in keepable]
            return current if current in recorded else recorded[0]
        if held and self._is_in_grace(tunnel, asked=bool(pools)):
            return current
        if held:
            await self._allocator.release_by_handle(handle)
        usable = [pool for pool in pools if _gives(pool, node)]
        return await self._take(tunnel, handle, current, usable) if usable else ""

    def _is_in_grace(self, tunnel: Tunnel, *, asked: bool) -> bool:
        """Whether somebody may still send by a tunnel that is not asked for."""
        if asked or not tunnel.mode:
            return False
        now = self._clock.monotonic()
        return now < self._unneeded.setdefault(tunnel.field, now + self._grace)

    async def _take(self, tunnel: Tunnel, handle: str, current: str, pools: Sequence[IPPool]) -> str:
        """The address that the Node names already, if it is free; else any."""
        attributes = {"node": self._node, "type": tunnel.type}
        if current and any(_prefix(pool).contains(Cidr.host(current)) for pool in pools):
            try:
                await self._allocator.assign_address(Cidr.host(current), self._node, handle, attributes, "Tunnel")
                return current
            except AlreadyAssigned:
                pass
        names = tuple(pool.metadata.name for pool in pools)
        family = {"num4": 1, "pools4": names} if tunnel.family == 4 else {"num6": 1, "pools6": names}
        request = AssignRequest(
            node=self._node, handle=handle, attributes=attributes, use="Tunnel", max_per_handle=1, all_or_nothing=True
        )
        assignment = await self._allocator.auto_assign(msgspec.structs.replace(request, **family))
        return next(one.text for one in (*assignment.v4, *assignment.v6))

    async def _pause(self, seconds: float) -> None:
        tasks = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._clock.sleep(seconds))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def _current(spec: NodeSpec, tunnel: Tunnel) -> str:
    place = {"vxlan_mode": spec, "ipip_mode": spec.bgp}.get(tunnel.mode, spec.wireguard)
    return getattr(place, tunnel.field) if place else ""


def _with(spec: NodeSpec, found: Mapping[str, str]) -> NodeSpec:
    """With these addresses; without BGP there is no place for that of IP in IP."""
    by_mode = {mode: {one.field: found[one.field] for one in TUNNELS if one.mode == mode} for mode in _NAMES}
    bgp = msgspec.structs.replace(spec.bgp, **by_mode["ipip_mode"]) if spec.bgp else None
    wireguard = NodeWireguard(**by_mode[""]) if any(by_mode[""].values()) else None
    return msgspec.structs.replace(spec, bgp=bgp, wireguard=wireguard, **by_mode["vxlan_mode"])


def _with_keys(status: NodeStatus, encryption: Encryption) -> NodeStatus:
    """What is not known yet stays: others encrypt with it."""
    found = {field: "" for family, field in _KEYS.items() if family not in (encryption.families or ())}
    for family, key in encryption.keys.items():
        found.setdefault(_KEYS[family], base64.b64encode(key).decode())
    return msgspec.structs.replace(status, **found)


def _asking(pools: Sequence[IPPool], tunnel: Tunnel, encryption: Encryption) -> list[IPPool]:
    """The pools that a tunnel is for."""
    if tunnel.mode:
        return [pool for pool in pools if _carries(pool, tunnel)]
    is_used = tunnel.family in (encryption.families or ())
    return [pool for pool in pools if is_used and _prefix(pool).family == tunnel.family and _is_for_workloads(pool)]


def _is_for_workloads(pool: IPPool) -> bool:
    return pool.spec.allowed_uses != ("LoadBalancer",)


def _carries(pool: IPPool, tunnel: Tunnel) -> bool:
    """Whether a tunnel carries what this pool's workloads send each other; VXLAN does where both are asked for."""
    spec = pool.spec
    is_overruled = tunnel.mode == "ipip_mode" and spec.vxlan_mode in _ENCAPSULATES
    asks = getattr(spec, tunnel.mode) in _ENCAPSULATES and not is_overruled
    return asks and _prefix(pool).family == tunnel.family


def _gives(pool: IPPool, node: Node) -> bool:
    """Whether a node's new addresses of tunnels come from this pool. Raises InvalidSelector."""
    spec = pool.spec
    is_for_tunnels = "Tunnel" in spec.allowed_uses or not (spec.allowed_uses or spec.namespace_selector)
    is_for_node = not spec.node_selector or parse(spec.node_selector).matches(node.metadata.labels)
    return not spec.disabled and is_for_tunnels and is_for_node


def _prefix(pool: IPPool) -> Cidr:
    return Cidr.parse(pool.spec.cidr)
