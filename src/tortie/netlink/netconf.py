"""Which sysctls of an interface somebody changed, as the kernel reports it (linux/netconf.h)."""

from __future__ import annotations

import struct

import msgspec

from tortie.netlink.wire import Message, attributes, unpack

RTNLGRP_IPV4_NETCONF = 24
RTNLGRP_IPV6_NETCONF = 25
GROUPS = (RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF)

RTM_NEWNETCONF = 80
ALL = -1
"""In place of an interface's index: the settings under `all`."""

_INDEX = 1
_SETTINGS = {2: "forwarding", 3: "rp_filter", 5: "proxy_neighbours"}
_VALUE = struct.Struct("=i")


class SettingEvent(msgspec.Struct, frozen=True, gc=False):
    """One setting of one interface (or of ALL) was given a value, by whomever: the kernel does not say.

    Args:
        setting: `forwarding`, `rp_filter` or `proxy_neighbours` (proxy_arp, proxy_ndp).
    """

    index: int
    setting: str
    value: int


def interpret(message: Message) -> SettingEvent | None:
    """What a message means; None for other settings, and for what a new interface begins with.

    Raises:
        TruncatedMessage: it is malformed.
    """
    if message.type != RTM_NEWNETCONF:
        return None
    found = attributes(message.payload, 4)
    present = [(kind, name) for kind, name in _SETTINGS.items() if kind in found]
    if len(present) != 1 or _INDEX not in found:
        return None
    kind, name = present[0]
    return SettingEvent(unpack(_VALUE, found[_INDEX])[0], name, unpack(_VALUE, found[kind])[0])
