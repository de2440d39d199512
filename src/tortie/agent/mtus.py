"""MTUs that follow from the host's interfaces, the tunnels in use and the settings, as all of them are now."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tortie.agent.filter_settings import chosen_mtus
from tortie.agent.settings import Settings
from tortie.dataplane.loop import Reconciler
from tortie.dataplane.mtu import outer_mtus, workload_mtu
from tortie.desired.network import Tunnels
from tortie.netlink.monitor import LinkTable


class Mtus(msgspec.Struct, frozen=True):
    """Of one node."""

    links: LinkTable
    reconciler: Reconciler
    settings: Callable[[], Settings]

    def workload(self) -> int:
        """Of workloads; 0 when nothing is known."""
        settings = self.settings()
        return workload_mtu(self.links, settings.mtu_iface_pattern, self._tunnels(), chosen_mtus(settings))

    def outer(self) -> dict[int, int]:
        """Of what hosts send each other for them, by family."""
        settings = self.settings()
        return outer_mtus(self.links, settings.mtu_iface_pattern, self._tunnels(), chosen_mtus(settings))

    def _tunnels(self) -> Tunnels:
        """Those that are to be encrypted count before the first key is known."""
        desired = self.reconciler.desired
        encrypted = tuple(sorted(desired.settings.filter.wireguard)) if desired.settings else ()
        return msgspec.structs.replace(desired.network.tunnels, wireguard=encrypted)
