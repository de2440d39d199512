"""Traffic control: token buckets, and what arrives by one device sent through another.

Source: linux/pkt_sched.h, pkt_cls.h, tc_act/tc_mirred.h.
"""

from __future__ import annotations

import errno
import socket as sockets
import struct

import msgspec

from tortie.base.errors import KernelError
from tortie.netlink.batch import Request
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    as_text,
    attribute,
    attributes,
    nested,
    text,
    u32,
    unpack,
)

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC = 36, 37, 38
RTM_NEWTFILTER, RTM_GETTFILTER = 44, 46

_ROOT = 0xFFFFFFFF
_INGRESS = 0xFFFFFFF1
_INGRESS_HANDLE = 0xFFFF0000
HANDLE = 0x00800000
"""Of every token bucket of ours: 80:"""

_TCMSG = struct.Struct("=B3xiIII")
_BUCKET = struct.Struct("=" + "BBHhHI" * 2 + "III")
_SELECT_ALL = struct.pack("=BBBxHHhhI", 1, 0, 1, 0, 0, 0, 0, 0) + bytes(16)
"""tc_u32_sel: terminal, one key that matches everything."""
_MIRRED = struct.Struct("=IIiiiiI")
_ETHERNET = 1
_LARGEST = (1 << 32) - 1
_NANOSECONDS = 10**9
_TICK_SHIFT = 6
"""PSCHED_SHIFT of net/pkt_sched.h."""
_ANY_PROTOCOL = sockets.htons(3)
_STOLEN, _REDIRECT = 4, 1
_KIND, _OPTIONS = 1, 2
_PARAMETERS, _RATE64, _PEAK64, _BURST, _PEAK_BURST = 1, 4, 5, 6, 7
_SELECTOR, _ACTIONS = 5, 7


class TokenBucket(msgspec.Struct, frozen=True, gc=False):
    """A queue that lets so much pass.

    Args:
        rate: bytes a second.
        burst: bytes at once beyond that.
        limit: bytes that may wait.
        peak: bytes a second even while the burst lasts; 0 is no limit.
        least_burst: bytes at once at the peak rate.
    """

    rate: int
    burst: int
    limit: int
    peak: int = 0
    least_burst: int = 0


class Queue(msgspec.Struct, frozen=True, gc=False):
    """A queueing discipline of a device.

    Args:
        index: of the device.
        kind: such as `tbf` or `ingress`.
        rate, limit, peak: of a token bucket.
        burst_ticks, least_burst_ticks: of a token bucket; its bursts as the kernel tells them, see `ticks`.
    """

    index: int
    kind: str
    handle: int
    parent: int
    rate: int = 0
    limit: int = 0
    peak: int = 0
    burst_ticks: int = 0
    least_burst_ticks: int = 0

    @property
    def is_bucket_of_ours(self) -> bool:
        """Whether it is one that `shape` made."""
        return self.kind == "tbf" and self.handle == HANDLE and self.parent == _ROOT


def shape(index: int, bucket: TokenBucket) -> Request:
    """Let a device send no more than this, in place of whatever queue it has."""
    rates = (0, _ETHERNET, 0, 0, 0, min(bucket.rate, _LARGEST)), (0, _ETHERNET, 0, 0, 0, min(bucket.peak, _LARGEST))
    options = attribute(_PARAMETERS, _BUCKET.pack(*rates[0], *rates[1], bucket.limit, 0, 0)) + u32(_BURST, bucket.burst)
    options += attribute(_RATE64, struct.pack("=Q", bucket.rate)) if bucket.rate > _LARGEST else b""
    if bucket.peak:
        options += attribute(_PEAK64, struct.pack("=Q", bucket.peak)) if bucket.peak > _LARGEST else b""
        options += u32(_PEAK_BURST, bucket.least_burst)
    payload = _TCMSG.pack(0, index, HANDLE, _ROOT, 0) + text(_KIND, "tbf") + nested(_OPTIONS, options)
    return Request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, payload, "limit what is sent by device", index)


def ticks(length: int, rate: int) -> int:
    """How long so many bytes take at so many a second, in the unit and with the rounding of net/sched/sch_generic.c.

    The kernel knows bursts as times only: 64 ns are a tick, and of those it tells 32 bits.
    """
    shift = 0
    while not (_NANOSECONDS << shift) // rate >> 31 and not _NANOSECONDS << shift >> 63:
        shift += 1
    return (length * ((_NANOSECONDS << shift) // rate) >> shift) >> _TICK_SHIFT & _LARGEST


def unshape(index: int) -> Request:
    """Take the queue of a device away; ENOENT when it has none."""
    return Request(RTM_DELQDISC, 0, _TCMSG.pack(0, index, 0, _ROOT, 0), "take limit from device", index)


def catch(index: int) -> Request:
    """Let filters see what arrives by a device; EEXIST when they do."""
    payload = _TCMSG.pack(0, index, _INGRESS_HANDLE, _INGRESS, 0) + text(_KIND, "ingress")
    return Request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, payload, "catch what arrives by device", index)


def release(index: int) -> Request:
    """Undo `catch`, with all filters; ENOENT or EINVAL when it was not done."""
    payload = _TCMSG.pack(0, index, 0, _INGRESS, 0)
    return Request(RTM_DELQDISC, 0, payload, "catch no more by device", index)


def redirect(index: int, to: int) -> Request:
    """Send everything that is caught on a device out of another one first."""
    action = attribute(2, _MIRRED.pack(0, 0, _STOLEN, 0, 0, _REDIRECT, to))
    mirror = nested(1, text(_KIND, "mirred"), nested(_OPTIONS, action))
    options = nested(_OPTIONS, attribute(_SELECTOR, _SELECT_ALL), nested(_ACTIONS, mirror))
    payload = _TCMSG.pack(0, index, 0, _INGRESS_HANDLE, 1 << 16 | _ANY_PROTOCOL) + text(_KIND, "u32") + options
    return Request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, payload, "redirect what arrives by device", index)


def list_queues(socket: NetlinkSocket) -> list[Queue]:
    """All of all devices. Raises KernelError."""
    answers = socket.dump(RTM_GETQDISC, _TCMSG.pack(0, 0, 0, 0, 0), "list queues")
    return [decode_queue(one) for one in answers]


def list_redirects(socket: NetlinkSocket, index: int) -> list[int]:
    """The devices to which filters redirect what arrives by a device; 0 for one that is gone. Raises KernelError."""
    request = _TCMSG.pack(0, index, 0, _INGRESS_HANDLE, 0)
    try:
        answers = socket.dump(RTM_GETTFILTER, request, f"list filters of device {index}")
    except KernelError as error:
        if error.errno in (errno.EINVAL, errno.ENODEV):
            return []
        raise
    return [found for one in answers if (found := decode_redirect(one)) is not None]


def decode_queue(message: Message) -> Queue:
    """Read RTM_NEWQDISC. Raises TruncatedMessage."""
    _, index, handle, parent, _ = unpack(_TCMSG, message.payload)
    found = attributes(message.payload, _TCMSG.size)
    kind = as_text(found.get(_KIND, b""))
    if kind != "tbf":
        return Queue(index, kind, handle, parent)
    options = attributes(found.get(_OPTIONS, b""))
    numbers = unpack(_BUCKET, options.get(_PARAMETERS, b""))
    rate, peak = _number(options.get(_RATE64, b"")) or numbers[5], _number(options.get(_PEAK64, b"")) or numbers[11]
    return Queue(index, kind, handle, parent, rate, numbers[12], peak, numbers[13], numbers[14] if peak else 0)


def decode_redirect(message: Message) -> int | None:
    """The device that a filter redirects to, None if it does not. Raises TruncatedMessage."""
    unpack(_TCMSG, message.payload)
    options = attributes(attributes(message.payload, _TCMSG.size).get(_OPTIONS, b""))
    for action in attributes(options.get(_ACTIONS, b"")).values():
        found = attributes(action)
        if as_text(found.get(_KIND, b"")) == "mirred":
            numbers = unpack(_MIRRED, attributes(found.get(_OPTIONS, b"")).get(2, b""))
            return int(numbers[6]) if numbers[5] == _REDIRECT else None
    return None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little" if struct.pack("=H", 1)[0] else "big")
