"""What FelixConfigurations mean for a node, when nothing is known of what its host says by itself."""

from __future__ import annotations

from collections.abc import Sequence

from tortie.agent.configuration import effective
from tortie.agent.filter_settings import node_settings, permissions
from tortie.agent.settings import read_values
from tortie.api.felixconfiguration import FelixConfiguration
from tortie.calculation.configurations import Configured


def configured(layers: Sequence[FelixConfiguration]) -> Configured:
    """Those that concern a node, the weakest first, over defaults."""
    found = effective(read_values({}), layers)
    settings = found.values.settings
    return Configured(node_settings(settings), permissions(settings), found.problems)
