"""Network devices: requests that create and change them, and what the kernel says of them (linux/if_link.h)."""

from __future__ import annotations

import errno
import struct

import msgspec

from tortie.base.errors import KernelError
from tortie.netlink.batch import Request
from tortie.netlink.socket import NetlinkSocket
from tortie.netlink.wire import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    as_text,
    as_u32,
    attribute,
    attributes,
    nested,
    text,
    u32,
    unpack,
)

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18

IFF_UP = 0x1
IFF_RUNNING = 0x40

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_MASTER = 10
_IFLA_LINKINFO = 18
_IFLA_NET_NS_FD = 28
_IFLA_EXT_MASK = 29
_IFLA_NUM_TX_QUEUES = 31
_IFLA_NUM_RX_QUEUES = 32
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_VETH_INFO_PEER = 1
_SKIP_STATISTICS = u32(_IFLA_EXT_MASK, 1 << 3)

_IFINFO = struct.Struct("=BxHiII")
_NONE = _IFINFO.pack(0, 0, 0, 0, 0)


class Link(msgspec.Struct, frozen=True, gc=False):
    """A network device.

    Args:
        kind: `veth`, `bridge`, ...; empty for what is no virtual device, such as loopback.
        up: set up by its administrator.
        running: up, and its other end is too (IFF_RUNNING).
        mac: lower-case, or empty.
        master: index of the bridge that it is a port of, or 0.
    """

    index: int
    name: str
    kind: str = ""
    up: bool = False
    running: bool = False
    mtu: int = 0
    mac: str = ""
    master: int = 0


class NewLink(msgspec.Struct, frozen=True, gc=False):
    """A device to be made.

    Args:
        namespace: file descriptor of the network namespace to make it in; None is the socket's own.
        mac: colon-separated hexadecimal, or empty for a random one.
        mtu: bytes; 0 is the kernel's default.
        queues: in each direction; 0 is the kernel's default.
    """

    name: str
    namespace: int | None = None
    mac: str = ""
    mtu: int = 0
    queues: int = 0

    @property
    def packed(self) -> bytes:
        """Its attributes."""
        queues = u32(_IFLA_NUM_TX_QUEUES, self.queues) + u32(_IFLA_NUM_RX_QUEUES, self.queues) if self.queues else b""
        return text(_IFLA_IFNAME, self.name) + queues + _settings(mac=self.mac, mtu=self.mtu, namespace=self.namespace)


def create(link: NewLink, kind: str, data: bytes = b"") -> Request:
    """Make a device of any kind; `data` are that kind's own attributes. EEXIST when the name is taken."""
    information = text(_IFLA_INFO_KIND, kind) + (nested(_IFLA_INFO_DATA, data) if data else b"")
    payload = _NONE + link.packed + nested(_IFLA_LINKINFO, information)
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, f"create {kind} {link.name}")


def create_veth(link: NewLink, peer: NewLink) -> Request:
    """Make a pair of devices, each in its own namespace; both are down."""
    return create(link, "veth", nested(_VETH_INFO_PEER, _NONE + peer.packed))


def create_bridge(name: str) -> Request:
    """Make an Ethernet bridge."""
    return create(NewLink(name), "bridge")


def change(
    link: int | str,
    *,
    up: bool | None = None,
    mtu: int = 0,
    mac: str = "",
    master: int | None = None,
    namespace: int | None = None,
) -> Request:
    """Change what is given of a device named by index or name.

    Args:
        master: index of the bridge to join; 0 leaves it.
        namespace: file descriptor of the network namespace to move to.
    """
    flags = IFF_UP if up else 0
    header, name = _reference(link, flags, 0 if up is None else IFF_UP)
    payload = header + name + _settings(mac=mac, mtu=mtu, master=master, namespace=namespace)
    return Request(RTM_NEWLINK, 0, payload, f"change link {link}")


def rename(index: int, name: str) -> Request:
    """Give the device another name. EBUSY on kernels that rename only what is down."""
    return Request(RTM_NEWLINK, 0, _reference(index)[0] + text(_IFLA_IFNAME, name), f"rename link {index} to {name}")


def delete(link: int | str) -> Request:
    """Delete a device; a veth takes its peer along. The kernel needs some 10 ms. ENODEV when there is none."""
    return Request(RTM_DELLINK, 0, b"".join(_reference(link)), f"delete link {link}")


def list_links(socket: NetlinkSocket) -> list[Link]:
    """Every device of the namespace. Raises KernelError."""
    return [decode_link(one) for one in dump_links(socket)]


def dump_links(socket: NetlinkSocket) -> list[Message]:
    """Every device as the kernel describes it, for decoders of single kinds. Raises KernelError."""
    return socket.dump(RTM_GETLINK, _NONE + _SKIP_STATISTICS, "list links")


def get_link(socket: NetlinkSocket, link: int | str) -> Link | None:
    """The device of this name or index, or None. Raises KernelError."""
    payload = b"".join(_reference(link)) + _SKIP_STATISTICS
    try:
        answers = socket.request(RTM_GETLINK, 0, payload, f"get link {link}")
    except KernelError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return decode_link(answers[0])


def decode_link(message: Message) -> Link:
    """Read RTM_NEWLINK or RTM_DELLINK. Raises TruncatedMessage."""
    _, _, index, flags, _ = unpack(_IFINFO, message.payload)
    found = attributes(message.payload, _IFINFO.size)
    information = attributes(found.get(_IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=as_text(found.get(_IFLA_IFNAME, b"")),
        kind=as_text(information.get(_IFLA_INFO_KIND, b"")),
        up=bool(flags & IFF_UP),
        running=flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING,
        mtu=as_u32(found[_IFLA_MTU]) if _IFLA_MTU in found else 0,
        mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
        master=as_u32(found[_IFLA_MASTER]) if _IFLA_MASTER in found else 0,
    )


def packed_mac(mac: str) -> bytes:
    """Six bytes from colon-separated hexadecimal. Raises ValueError."""
    packed = bytes.fromhex(mac.replace(":", ""))
    if len(packed) != 6:
        raise ValueError(f"{mac} is not a hardware address")
    return packed


def _reference(link: int | str, flags: int = 0, mask: int = 0) -> tuple[bytes, bytes]:
    """The header and the name attribute that say which device is meant."""
    if isinstance(link, str):
        return _IFINFO.pack(0, 0, 0, flags, mask), text(_IFLA_IFNAME, link)
    return _IFINFO.pack(0, 0, link, flags, mask), b""


def _settings(*, mac: str, mtu: int, namespace: int | None, master: int | None = None) -> bytes:
    packed = attribute(_IFLA_ADDRESS, packed_mac(mac)) if mac else b""
    packed += u32(_IFLA_MTU, mtu) if mtu else b""
    packed += u32(_IFLA_MASTER, master) if master is not None else b""
    return packed + (u32(_IFLA_NET_NS_FD, namespace) if namespace is not None else b"")
