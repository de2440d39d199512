"""FelixConfigurations: which of them concern this node, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from tortie.api.felixconfiguration import FelixConfiguration
from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.calculation.permissions import Permissions
from tortie.calculation.problems import Problems
from tortie.desired.settings import NodeSettings
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse

EVERYWHERE = "default"
"""The one that is for all nodes."""

OF_NODE = "node."
"""How the name of one that is for a single node begins; the node's follows."""


class Configured(msgspec.Struct, frozen=True):
    """What they mean for a node; `problems` are of those that cannot be used, or not wholly."""

    settings: NodeSettings = NodeSettings()
    permissions: Permissions = Permissions()
    problems: Mapping[ResourceKey, str] = {}


Configure = Callable[[Sequence[FelixConfiguration]], Configured]
"""What those that concern a node, the weakest first, mean for it."""


class Configurations:
    """All that are there, and what was last told of them."""

    def __init__(self, node: str, configure: Configure | None, problems: Problems) -> None:
        self._node = node
        self._configure = configure
        self._problems = problems
        self._all: dict[ResourceKey, FelixConfiguration] = {}
        self._labels: dict[str, str] = {}
        self._noted: set[ResourceKey] = set()
        self._told: tuple[FelixConfiguration, ...] | None = None
        self._configured = Configured()
        self._dirty = True

    def put(self, key: ResourceKey, value: FelixConfiguration | None) -> None:
        """Add, replace or, with None, remove one."""
        self._dirty = True
        if value is None:
            self._all.pop(key, None)
        else:
            self._all[key] = value

    def put_node(self, name: str, node: Node | None) -> None:
        """The labels of this node are these; other nodes do not matter."""
        labels = dict(node.metadata.labels) if node else {}
        if name == self._node and labels != self._labels:
            self._labels = labels
            self._dirty = True

    def layers(self) -> tuple[FelixConfiguration, ...]:
        """Those that concern this node, the weakest first: of those that select it only the oldest counts."""
        named = {key.name: one for key, one in self._all.items()}
        selecting = sorted(self._selecting(), key=lambda one: (one.metadata.creation_timestamp or "~", one.key))
        found = (named.get(EVERYWHERE), next(iter(selecting), None), named.get(OF_NODE + self._node))
        return tuple(one for one in found if one is not None)

    def flush(self) -> Configured | None:
        """What they mean when that is different from what was last told; None otherwise."""
        if self._configure is None or not self._dirty:
            return None
        self._dirty = False
        for key in self._noted:
            self._problems.forget(key)
        self._noted = set()
        is_first, before = self._told is None, self._configured
        layers = self.layers()
        if layers != self._told:
            self._told, self._configured = layers, self._configure(layers)
        for key, problem in self._configured.problems.items():
            self._note(key, problem)
        return self._configured if is_first or self._configured != before else None

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._all or self._labels or self._told)

    def _selecting(self) -> Iterator[FelixConfiguration]:
        for key, one in self._all.items():
            if key.name == EVERYWHERE or key.name.startswith(OF_NODE) or not one.spec.node_selector:
                continue
            try:
                if parse(one.spec.node_selector).matches(self._labels):
                    yield one
            except InvalidSelector as error:
                self._note(key, f"spec.nodeSelector: {error}")

    def _note(self, key: ResourceKey, problem: str) -> None:
        self._noted.add(key)
        self._problems.note(key, problem)
