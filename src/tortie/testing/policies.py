"""Policies and who is there, without a cluster, and what can be asserted of them for all packets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from tortie.analysis.checkfile import CheckFile, Fixture, Port, fixtures, read_checks, statements
from tortie.analysis.checks import Demand, Outcome, Statement, Traffic, check
from tortie.analysis.cluster import Cluster, compile_cluster
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.api.resource import Resource
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.manifests import read_manifests


class Policies:
    """Resources, and endpoints and namespaces that are made up. Does not change: `with_…` gives another.

    Whoever is meant by `source` and `to` is written as in files of statements: `NAMESPACE/NAME`, `NAMESPACE/`,
    `host/NAME`, an address, a selector, `outside`, `anybody`. Statements are about all packets of `port`
    (`80/tcp`, `icmp`, `any`) and everybody who is meant.

    Args:
        resources: valid and complete.
        namespace: of names that stand alone.
    """

    def __init__(
        self, resources: Iterable[Resource] = (), namespace: str = "default", made: CheckFile | None = None
    ) -> None:
        self.resources = tuple(resources)
        self.namespace = namespace
        self._made = made or CheckFile()

    @classmethod
    def read(cls, *paths: str | Path, namespace: str = "default") -> Policies:
        """What files and folders hold, as `tortie apply` takes it. Raises InvalidResource with every problem."""
        return cls(read_manifests([Path(one) for one in paths], namespace).resources, namespace)

    @classmethod
    def of_file(cls, path: str | Path, namespace: str = "default") -> Policies:
        """The manifests and endpoints that a file of statements names. Raises InvalidResource."""
        file = Path(path)
        found = read_file(file)
        paths = [file.parent / one for one in found.manifests]
        resources = read_manifests(paths, namespace).resources if paths else ()
        return cls(resources, namespace, found)

    def with_endpoint(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        *,
        addresses: Sequence[str] = (),
        ports: Mapping[str, tuple[int, str]] | None = None,
        account: str = "",
    ) -> Policies:
        """With an endpoint more.

        Args:
            name: `NAMESPACE/NAME`.
            addresses: one of each family is found for it when none is given.
            ports: number and protocol of those that it names.
        """
        named = tuple(Port(key, port, protocol) for key, (port, protocol) in (ports or {}).items())
        one = Fixture(name, dict(labels or {}), tuple(addresses), named, account)
        made = msgspec.structs.replace(self._made, endpoints=(*self._made.endpoints, one))
        return Policies(self.resources, self.namespace, made)

    def with_namespace(self, name: str, labels: Mapping[str, str]) -> Policies:
        """With the labels of a namespace."""
        made = msgspec.structs.replace(self._made, namespaces={**self._made.namespaces, name: dict(labels)})
        return Policies(self.resources, self.namespace, made)

    @cached_property
    def cluster(self) -> Cluster:
        """The compiled form. Raises InvalidResource."""
        found = {one.key: one for one in fixtures(self._made)}
        found |= {one.key: one for one in self.resources}
        return compile_cluster(found.values())

    @cached_property
    def reachability(self) -> Reachability:
        """Who reaches whom, for what these assertions do not say."""
        return Reachability(Space(), self.cluster)

    def always(self, source: str, to: str, port: str | int = "any") -> Outcome:
        """Whether all of it gets through between any two."""
        return self._outcome(Demand.ALWAYS, source, to, port)

    def never(self, source: str, to: str, port: str | int = "any") -> Outcome:
        """Whether none of it does."""
        return self._outcome(Demand.NEVER, source, to, port)

    def only(self, source: str, to: str, port: str | int = "any") -> Outcome:
        """Whether nobody else's gets through."""
        return self._outcome(Demand.ONLY, source, to, port)

    def assert_allowed(self, source: str, to: str, port: str | int = "any") -> None:
        """`always`, or AssertionError with a packet against it."""
        _require(self.always(source, to, port))

    def assert_denied(self, source: str, to: str, port: str | int = "any") -> None:
        """`never`, or AssertionError with a packet against it."""
        _require(self.never(source, to, port))

    def assert_only(self, source: str, to: str, port: str | int = "any") -> None:
        """`only`, or AssertionError with a packet against it."""
        _require(self.only(source, to, port))

    def stated(self) -> list[Statement]:
        """What the file states that these were made of."""
        return statements(self._made)

    def outcome(self, statement: Statement) -> Outcome:
        """Whether one of them holds."""
        return check(self.reachability, statement, self.namespace)

    def _outcome(self, demand: Demand, source: str, to: str, port: str | int) -> Outcome:
        traffic = Traffic(source, to, port)
        return self.outcome(Statement(f"{demand.value} {traffic.text()}", demand, traffic))


def read_file(file: Path) -> CheckFile:
    """A file of statements. Raises InvalidResource."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise InvalidResource(Problem(str(file), "", f"cannot be read: {reason}")) from error
    return read_checks(text, str(file))


def _require(outcome: Outcome) -> None:
    if not outcome.holds:
        raise AssertionError(f"{outcome.statement.name}: {outcome.against}")
