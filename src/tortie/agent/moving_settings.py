"""Settings of routes to workloads that move from host to host."""

from __future__ import annotations

import msgspec

from tortie.agent.setting import Setting
from tortie.agent.setting_values import route_priority, seconds
from tortie.calculation.moving import Priorities


class MovingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Effective settings; see MOVING_TABLE for what each means."""

    ipv4_normal_route_priority: int
    ipv4_elevated_route_priority: int
    ipv6_normal_route_priority: int
    ipv6_elevated_route_priority: int
    live_migration_route_convergence_seconds: float


def priorities(settings: MovingSettings) -> Priorities:
    """As the routes know them."""
    return Priorities(
        normal={4: settings.ipv4_normal_route_priority, 6: settings.ipv6_normal_route_priority},
        elevated={4: settings.ipv4_elevated_route_priority, 6: settings.ipv6_elevated_route_priority},
        convergence=settings.live_migration_route_convergence_seconds,
    )


MOVING_TABLE: tuple[Setting, ...] = (
    *(
        Setting(
            f"ipv{family}_{name}_route_priority",
            route_priority,
            value,
            f"Metric of IPv{family} routes to {what}.",
            also,
        )
        for family in (4, 6)
        for name, value, what, also in (
            ("normal", "1024", "workloads", (f"FELIX_IPV{family}NORMALROUTEPRIORITY",)),
            ("elevated", "512", "a workload that has just moved here", (f"FELIX_IPV{family}ELEVATEDROUTEPRIORITY",)),
        )
    ),
    Setting(
        "live_migration_route_convergence_seconds",
        seconds,
        "30",
        "How long a workload that moved here keeps the elevated priority.",
        ("FELIX_LIVEMIGRATIONROUTECONVERGENCETIME",),
    ),
)
