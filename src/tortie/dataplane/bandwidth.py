"""Target: bandwidths of workloads, as token buckets (tc-tbf(8)).

What a workload receives waits in a queue of its interface. What it sends is caught there and sent through a device of
its own, a mirror (kind `ifb`), which has the queue; names of mirrors are made from those of interfaces.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tortie.base.hashes import short_hash
from tortie.dataplane.target import Plan
from tortie.desired.endpoints import Endpoint
from tortie.desired.limits import Bandwidth
from tortie.desired.policy import Direction
from tortie.desired.state import Changes, DesiredState
from tortie.netlink import links, traffic
from tortie.netlink.batch import Request, send_batch
from tortie.netlink.monitor import LinkTable
from tortie.netlink.socket import NetlinkSocket

LATENCY = 0.025
"""Seconds that a packet may wait for its turn; those that would have to longer are dropped."""

_MIRROR = re.compile("bw[0-9a-f]{11}")
_FRAMING = 18
"""Bytes of an Ethernet header and a tag, which count too."""
_LARGEST = (1 << 32) - 1
_GONE = frozenset({errno.ENODEV, errno.ENOENT, errno.EINVAL})

Numbers = tuple[int, int, int, int, int]
"""Rate, limit and peak of a token bucket, and its bursts in ticks: what tells one from another."""
_NONE: Numbers = (0, 0, 0, 0, 0)
_BROKEN: Numbers = (-1, -1, -1, -1, -1)
"""Of what is sent to a device that is not there: nothing gets through."""


class Limit(msgspec.Struct, frozen=True, gc=False):
    """Let a workload receive (ingress) or send no more than this; None is as much as it can."""

    interface: str
    index: int
    direction: Direction
    bucket: traffic.TokenBucket | None


class RemoveMirror(msgspec.Struct, frozen=True, gc=False):
    """Delete a mirror."""

    device: str


Operation = Limit | RemoveMirror


class Known(msgspec.Struct, frozen=True, gc=False):
    """One workload interface as last read or written."""

    index: int
    ingress: Numbers = _NONE
    egress: Numbers = _NONE


class Actual(msgspec.Struct):
    """Interfaces that have something of ours, and all mirrors."""

    interfaces: dict[str, Known]
    mirrors: set[str]


class BandwidthTarget:
    """Token buckets.

    Args:
        current: links as of the last event heard, in the event loop.
        socket: a NETLINK_ROUTE socket, for the worker thread alone.
        prefixes: beginnings of the names of workload interfaces.
    """

    name = "bandwidth"

    def __init__(self, current: LinkTable, socket: NetlinkSocket, prefixes: tuple[str, ...] = ("cali",)) -> None:
        self._links = current
        self._socket = socket
        self._prefixes = prefixes

    def read(self) -> Actual:
        named = {link.name: link.index for link in links.list_links(self._socket)}
        buckets: dict[int, Numbers] = {}
        catching: set[int] = set()
        for queue in traffic.list_queues(self._socket):
            if queue.is_bucket_of_ours:
                bursts = queue.burst_ticks, queue.least_burst_ticks
                buckets[queue.index] = (queue.rate, queue.limit, queue.peak, *bursts)
            elif queue.kind == "ingress":
                catching.add(queue.index)
        found: dict[str, Known] = {}
        for name, index in named.items():
            if name.startswith(self._prefixes) and (index in buckets or index in catching):
                egress = self._egress(name, named, buckets) if index in catching else _NONE
                _keep(found, name, Known(index, buckets.get(index, _NONE), egress))
        return Actual(found, {name for name in named if _MIRROR.fullmatch(name)})

    def plan(self, desired: DesiredState, actual: Actual, changes: Changes | None) -> Plan[Operation]:
        wanted = _limited(desired)
        if changes is not None and not _concerns(changes, wanted, actual):
            return Plan()
        operations: list[Operation] = []
        waiting: dict[str, str] = {}
        for interface in sorted(wanted.keys() | actual.interfaces.keys()):
            link, endpoint = self._links.get(interface), wanted.get(interface)
            if link is not None:
                operations += _differences(link, endpoint, actual)
            elif endpoint is not None:
                waiting[str(endpoint.id)] = f"interface {interface} does not exist"
        used = {mirror_of(name) for name, one in wanted.items() if one.egress_limits.bandwidth and name not in waiting}
        operations += [RemoveMirror(device) for device in sorted(actual.mirrors - used)]
        looked_at = {*changes.endpoints, *(one.id for one in wanted.values())} if changes else set()
        return Plan(operations, waiting, [text for one in looked_at if (text := str(one)) not in waiting])

    def apply(self, operations: Sequence[Operation]) -> None:
        for one in operations:
            if isinstance(one, RemoveMirror):
                self._send(links.delete(one.device), _GONE)
            elif one.direction is Direction.INGRESS:
                self._shape(one.index, one.bucket)
            elif one.bucket is None:
                self._send(traffic.release(one.index), _GONE)
            else:
                self._mirror(one.interface, one.index, one.bucket)

    def applied(self, actual: Actual, plan: Plan[Operation]) -> Actual:
        for one in plan.operations:
            if isinstance(one, RemoveMirror):
                actual.mirrors.discard(one.device)
                continue
            known = actual.interfaces.get(one.interface)
            if known is None or known.index != one.index:
                known = Known(one.index)
            known = msgspec.structs.replace(known, **{one.direction.value: _numbers(one.bucket)})
            _keep(actual.interfaces, one.interface, known)
            if one.direction is Direction.EGRESS and one.bucket:
                actual.mirrors.add(mirror_of(one.interface))
        return actual

    def _egress(self, interface: str, named: Mapping[str, int], buckets: Mapping[int, Numbers]) -> Numbers:
        """What a mirror does, if what arrives by the interface goes there and nowhere else."""
        mirror = named.get(mirror_of(interface), 0)
        redirects = traffic.list_redirects(self._socket, named[interface])
        if not all(one in named.values() for one in redirects):
            return _BROKEN
        return buckets.get(mirror, _NONE) if redirects == [mirror] else _NONE

    def _shape(self, index: int, bucket: traffic.TokenBucket | None) -> None:
        if bucket is None:
            self._send(traffic.unshape(index), _GONE)
        else:
            # A link that vanished is reported by an event.
            self._send(traffic.shape(index, bucket), (errno.ENODEV,))

    def _mirror(self, interface: str, index: int, bucket: traffic.TokenBucket) -> None:
        """The bucket stands before anything is sent to it."""
        name = mirror_of(interface)
        self._send(links.create(links.NewLink(name), "ifb"), (errno.EEXIST,))
        mirror = links.get_link(self._socket, name)
        if mirror is None:
            return
        self._shape(mirror.index, bucket)
        self._send(links.change(mirror.index, up=True))
        if traffic.list_redirects(self._socket, index) != [mirror.index]:
            self._send(traffic.release(index), _GONE)
            self._send(traffic.catch(index), (errno.ENODEV,))
            self._send(traffic.redirect(index, mirror.index), (errno.ENODEV, errno.EINVAL))

    def _send(self, request: Request, harmless: Sequence[int] | frozenset[int] = ()) -> None:
        (error,) = send_batch(self._socket, [request])
        if error is not None and error.errno not in harmless:
            raise error


def mirror_of(interface: str) -> str:
    """Name of the mirror of an interface."""
    return f"bw{short_hash(interface, 11)}"


def bucket_of(bandwidth: Bandwidth, mtu: int) -> traffic.TokenBucket:
    """A bucket that takes at least one packet: smaller ones would let nothing pass."""
    rate, packet = max(1, bandwidth.rate // 8), mtu + _FRAMING
    burst = min(max(bandwidth.burst // 8, packet), _LARGEST)
    # A peak that is not above the rate limits nothing, and the kernel refuses it.
    peak = bandwidth.peak // 8 if bandwidth.peak // 8 > rate else 0
    return traffic.TokenBucket(
        rate=rate,
        burst=burst,
        limit=min(round(rate * LATENCY) + burst, _LARGEST),
        peak=peak,
        least_burst=min(max(bandwidth.least_burst // 8, packet), _LARGEST) if peak else 0,
    )


def _keep(interfaces: dict[str, Known], name: str, known: Known) -> None:
    """Interfaces without anything of ours are not kept."""
    if known.ingress == known.egress == _NONE:
        interfaces.pop(name, None)
    else:
        interfaces[name] = known


def _limited(desired: DesiredState) -> dict[str, Endpoint]:
    """Endpoints with bandwidths by interface; of several that claim one, the lowest has it."""
    found: dict[str, Endpoint] = {}
    for one in desired.endpoints.values():
        if one.ingress_limits.bandwidth or one.egress_limits.bandwidth:
            rival = found.get(one.interface)
            if rival is None or one.id < rival.id:
                found[one.interface] = one
    return found


def _concerns(changes: Changes, wanted: Mapping[str, Endpoint], actual: Actual) -> bool:
    if not (wanted or actual.interfaces or actual.mirrors):
        return False
    return bool(changes.endpoints) or bool(changes.interfaces & (wanted.keys() | actual.interfaces.keys()))


def _differences(link: links.Link, endpoint: Endpoint | None, actual: Actual) -> Iterator[Limit]:
    known = actual.interfaces.get(link.name)
    if known is None or known.index != link.index:
        known = Known(link.index)
    for direction, held in ((Direction.INGRESS, known.ingress), (Direction.EGRESS, known.egress)):
        bandwidth = endpoint.limits(direction).bandwidth if endpoint else None
        bucket = bucket_of(bandwidth, link.mtu) if bandwidth else None
        if _numbers(bucket) != held:
            yield Limit(link.name, link.index, direction, bucket)


def _numbers(bucket: traffic.TokenBucket | None) -> Numbers:
    if bucket is None:
        return _NONE
    least = traffic.ticks(bucket.least_burst, bucket.peak) if bucket.peak else 0
    return bucket.rate, bucket.limit, bucket.peak, traffic.ticks(bucket.burst, bucket.rate), least
