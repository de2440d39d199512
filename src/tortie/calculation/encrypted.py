"""Peers of WireGuard: which other nodes have a key, and which prefixes are at them. Only what changes is looked at."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator

import msgspec

from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.base.addresses import BITS, Cidr
from tortie.calculation.holders import reached_at
from tortie.calculation.problems import Problems
from tortie.desired.cluster import ClusterRoute, Kinds
from tortie.desired.wireguard import WireguardPeer, WireguardPeerId

KEY_LENGTH = 32
RoutesOf = Callable[[str], Iterable[ClusterRoute]]
"""What is known to be at a node."""

_OF_WORKLOADS = Kinds.REMOTE_WORKLOAD | Kinds.REMOTE_TUNNEL


class _Keyed(msgspec.Struct, frozen=True, gc=False):
    """A node's key of one family, and the address that it is reached by."""

    key: bytes
    endpoint: Cidr | None


class EncryptedPeers:
    """Peers as last told, and the keys of every node.

    Args:
        node: name of this one.
    """

    def __init__(self, node: str, problems: Problems) -> None:
        self._node = node
        self._problems = problems
        self._keyed: dict[WireguardPeerId, _Keyed] = {}
        self._holders: dict[bytes, set[WireguardPeerId]] = {}
        self._dirty: set[WireguardPeerId] = set()
        self._told: dict[WireguardPeerId, WireguardPeer] = {}

    def put(self, key: ResourceKey, node: Node | None) -> None:
        """Add, replace or, with None, remove a node."""
        try:
            found = _keys(node) if node is not None else {}
        except ValueError as error:
            self._problems.note(key, error)
            found = {}
        for family in BITS:
            self._put(WireguardPeerId(key.name, family), found.get(family))

    def at(self, nodes: Iterable[str]) -> None:
        """What is at these nodes may be otherwise."""
        ids = (WireguardPeerId(node, family) for node in nodes for family in BITS)
        self._dirty.update(one for one in ids if one in self._keyed)

    def flush(self, routes: RoutesOf) -> tuple[list[WireguardPeer], list[WireguardPeerId]]:
        """What is new or different since the last flush, and what is gone."""
        dirty, self._dirty = self._dirty, set()
        changed: list[WireguardPeer] = []
        removed: list[WireguardPeerId] = []
        for one in sorted(dirty):
            peer, old = self._peer(one, routes), self._told.get(one)
            if peer is None:
                removed += [one] if self._told.pop(one, None) is not None else []
            elif peer != old:
                self._told[one] = peer
                changed.append(peer)
        return changed, removed

    def shared_keys(self) -> Iterator[str]:
        """Keys that several nodes claim: one of them is not who it says, so that none is believed."""
        for holders in self._holders.values():
            names = sorted({one.node for one in holders})
            if len(names) > 1:
                yield f"WireGuard: {', '.join(names)} have the same public key; nothing is encrypted for them"

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._keyed or self._holders or self._told or self._dirty)

    def _put(self, one: WireguardPeerId, keyed: _Keyed | None) -> None:
        old = self._keyed.pop(one, None)
        if keyed is not None:
            self._keyed[one] = keyed
        if old == keyed:
            return
        self._dirty.add(one)
        if old is not None:
            self._holders[old.key].discard(one)
            self._dirty |= self._holders[old.key]
            if not self._holders[old.key]:
                del self._holders[old.key]
        if keyed is not None:
            holders = self._holders.setdefault(keyed.key, set())
            self._dirty |= holders
            holders.add(one)

    def _peer(self, one: WireguardPeerId, routes: RoutesOf) -> WireguardPeer | None:
        keyed = self._keyed.get(one)
        if keyed is None or keyed.endpoint is None or one.node == self._node:
            return None
        if any(other.node != one.node for other in self._holders[keyed.key]):
            return None
        there = [route for route in routes(one.node) if route.destination.family == one.family]
        workloads = sorted(route.destination for route in there if route.kinds & _OF_WORKLOADS)
        hosts = sorted(route.destination for route in there if Kinds.REMOTE_HOST in route.kinds)
        return WireguardPeer(one, keyed.key, keyed.endpoint, tuple(workloads), tuple(hosts))


def _keys(node: Node) -> dict[int, _Keyed]:
    """By family. Raises ValueError."""
    texts = {4: node.status.wireguard_public_key, 6: node.status.wireguard_public_key_v6}
    addresses = reached_at(node.spec)
    return {family: _Keyed(_key(text), addresses.get(family)) for family, text in texts.items() if text}


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_LENGTH:
        raise ValueError(f"{text} is no public key of WireGuard (32 bytes in base64)")
    return key
