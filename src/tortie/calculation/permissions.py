"""What endpoints may ask for on this node."""

from __future__ import annotations

import msgspec


class Permissions(msgspec.Struct, frozen=True):
    """What is not permitted is not heard.

    Args:
        floating_ips: floating addresses.
        source_spoofing: sources that are not their own.
    """

    floating_ips: bool = False
    source_spoofing: bool = False


NO_PERMISSIONS = Permissions()
