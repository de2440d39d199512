"""Programs of BPF on what a device sends and receives, in traffic control (linux/pkt_cls.h)."""

from __future__ import annotations

import errno
import socket as sockets
import struct

from tortie.base.errors import KernelError
from tortie.netlink.batch import Request
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.traffic import RTM_GETTFILTER, RTM_NEWQDISC, RTM_NEWTFILTER
from tortie.netlink.wire import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    as_text,
    attributes,
    nested,
    text,
    u32,
    unpack,
)

RTM_DELTFILTER = 45
ARRIVING, LEAVING = 0xFFFFFFF2, 0xFFFFFFF3
"""Which packets of a device."""

_TCMSG = struct.Struct("=B3xiIII")
_CLSACT = 0xFFFFFFF1
_CLSACT_HANDLE = 0xFFFF0000
_KIND, _OPTIONS = 1, 2
_DESCRIPTOR, _NAME, _FLAGS = 6, 7, 8
_DIRECT_ACTION = 1
_PRIORITY, _HANDLE = 80, 1
_INFO = _PRIORITY << 16 | sockets.htons(0x0800)
"""Ours: of priority 80, and for IPv4 alone."""


def prepare(index: int) -> Request:
    """Let programs see the packets of a device; EEXIST when they do."""
    payload = _TCMSG.pack(0, index, _CLSACT_HANDLE, _CLSACT, 0) + text(_KIND, "clsact")
    return Request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, payload, "prepare programs for device", index)


def attach(index: int, where: int, descriptor: int, name: str) -> Request:
    """Run a program on a device's packets, in the place of the one of ours before."""
    options = u32(_DESCRIPTOR, descriptor) + text(_NAME, name) + u32(_FLAGS, _DIRECT_ACTION)
    payload = _TCMSG.pack(0, index, _HANDLE, where, _INFO) + text(_KIND, "bpf") + nested(_OPTIONS, options)
    return Request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, payload, f"attach program {name} to device", index)


def detach(index: int, where: int) -> Request:
    """Run ours no more; ENOENT or EINVAL when there is none."""
    payload = _TCMSG.pack(0, index, _HANDLE, where, _INFO) + text(_KIND, "bpf")
    return Request(RTM_DELTFILTER, 0, payload, "detach the program of device", index)


def attached(socket: NetlinkSocket, index: int, where: int) -> str:
    """The name of our program there; empty when there is none. Raises KernelError."""
    try:
        answers = socket.dump(RTM_GETTFILTER, _TCMSG.pack(0, index, 0, where, 0), f"list programs of device {index}")
    except KernelError as error:
        if error.errno in (errno.EINVAL, errno.ENODEV, errno.ENOENT):
            return ""
        raise
    return next((name for one in answers if (name := decode_program(one))), "")


def decode_program(message: Message) -> str:
    """The name of a program of ours; empty for other filters. Raises TruncatedMessage."""
    _, _, handle, _, info = unpack(_TCMSG, message.payload)
    found = attributes(message.payload, _TCMSG.size)
    if as_text(found.get(_KIND, b"")) != "bpf" or (handle, info) != (_HANDLE, _INFO):
        return ""
    return as_text(attributes(found.get(_OPTIONS, b"")).get(_NAME, b""))
