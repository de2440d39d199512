"""The settings in force: what this host says by itself, over what FelixConfigurations say, over defaults.

What may change while the agent runs changes at once; the rest is in force as it was at the start, and what would be
different after another start is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import structlog

from tortie.agent.felix_fields import LIVE, ROWS
from tortie.agent.filter_settings import node_settings, permissions
from tortie.agent.settings import TABLE, Settings, Values, contradictions
from tortie.agent.whereabouts import DEFAULT, Origin
from tortie.api.felixconfiguration import FelixConfiguration, stored_name
from tortie.api.resource import ResourceKey
from tortie.calculation.configurations import Configured

_REPORTING = ("endpoint_reporting_enabled", "reporting_interval_seconds", "reporting_ttl_seconds")
"""Settings that may contradict one another."""

_PARSERS = {row.name: row.parse for row in TABLE}


class Effective(msgspec.Struct, frozen=True):
    """What holds, and what is wrong with each FelixConfiguration that says what cannot be."""

    values: Values
    problems: dict[ResourceKey, str]


def effective(local: Values, layers: Sequence[FelixConfiguration]) -> Effective:
    """Local values over those of the layers, of which the last wins, over defaults.

    A value that cannot be used is as if it were not there: a weaker one holds.
    """
    found = Values(dict(local.meanings), dict(local.origins))
    problems: dict[ResourceKey, list[str]] = {}
    for layer in layers:
        said = list(_take(found, local, layer))
        if said:
            problems[layer.key] = said
    for problem in list(contradictions(found.meanings, found.origins)):
        sources = {found.origins[name].source for name in _REPORTING}
        text = f"{problem.path}: {problem.problem}: {problem.remedy}; nothing of this is in force"
        for layer in layers:
            if _source(layer) in sources:
                problems.setdefault(layer.key, []).append(text)
        for name in _REPORTING:
            found.meanings[name], found.origins[name] = local.meanings[name], local.origins[name]
    return Effective(found, {key: "; ".join(said) for key, said in problems.items()})


def _take(found: Values, local: Values, layer: FelixConfiguration) -> Iterator[str]:
    """Put in what a layer says; tells what cannot be used."""
    for row in ROWS:
        text = row.given(layer.spec)
        if text is None:
            continue
        try:
            meaning = _PARSERS[row.setting](text)
        except ValueError as error:
            yield f"spec.{stored_name(row.field)}: {text!r} cannot be used: {error}"
            continue
        if local.origins[row.setting].source == DEFAULT:
            found.meanings[row.setting] = meaning
            found.origins[row.setting] = Origin(text, _source(layer))


def _source(layer: FelixConfiguration) -> str:
    return str(layer.key)


class Configuration:
    """The settings of a running agent. Called with the FelixConfigurations of its node, it takes them in.

    Attributes:
        settings: those in force.
        pending: what would be different after another start, in words.
    """

    def __init__(self, local: Values) -> None:
        self._local = local
        self._values = local
        self._log = structlog.get_logger("tortie.configuration")
        self._listeners: list[Callable[[Settings], None]] = []
        self.settings = local.settings
        self.pending: tuple[str, ...] = ()

    @property
    def origins(self) -> dict[str, Origin]:
        """Values in force and where they come from, for people."""
        return self._values.shown

    def listen(self, listener: Callable[[Settings], None]) -> None:
        """Have it called with the settings whenever they change."""
        self._listeners.append(listener)

    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def keep_listeners(self, count: int) -> None:
        """Let the first so many listen, and no other."""
        del self._listeners[count:]

    def begin(self, layers: Sequence[FelixConfiguration]) -> None:
        """The agent starts: everything counts."""
        self._adopt(effective(self._local, layers).values)

    def __call__(self, layers: Sequence[FelixConfiguration]) -> Configured:
        """Take in what may change while the agent runs, and tell what everything means."""
        wanted = effective(self._local, layers)
        before = self._values
        kept = {row.setting for row in ROWS} - LIVE
        meanings = {name: (before if name in kept else wanted.values).meanings[name] for name in before.meanings}
        origins = {name: (before if name in kept else wanted.values).origins[name] for name in before.origins}
        self._adopt(Values(meanings, origins))
        self._tell_pending(
            tuple(
                _pending(name, before, wanted.values) for name in sorted(kept) if _differs(name, before, wanted.values)
            )
        )
        return Configured(node_settings(self.settings), permissions(self.settings), wanted.problems)

    def _adopt(self, values: Values) -> None:
        changed = [name for name in values.meanings if _differs(name, self._values, values)]
        self._values, self.settings = values, values.settings
        if changed:
            shown = self.origins
            self._log.info("settings_changed", **{name: shown[name].value for name in changed})
            for listener in self._listeners:
                listener(self.settings)

    def _tell_pending(self, pending: tuple[str, ...]) -> None:
        for one in pending:
            if one not in self.pending:
                self._log.warning("settings_need_restart", reason=one)
        self.pending = pending


def _differs(name: str, one: Values, other: Values) -> bool:
    return bool(one.meanings[name] != other.meanings[name])


def _pending(name: str, now: Values, then: Values) -> str:
    wanted, held = then.origins[name], now.origins[name]
    return (
        f"{name} is {wanted.value!r} by {wanted.source}, which takes effect when the agent starts again; "
        f"{held.value!r} is in force"
    )
