"""Files of statements about policy: expectations, invariants, and who is there when no cluster is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tortie.analysis.checks import Demand, Statement, Traffic
from tortie.api.documents import Document
from tortie.api.resource import Metadata, Resource
from tortie.api.strict import check
from tortie.api.text import Place, scan_values
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.base.errors import InvalidResource, Problem
from tortie.convert.kubernetes import convert

ALLOW, DENY = "allow", "deny"

_DEMANDS = {ALLOW: Demand.ALWAYS, DENY: Demand.NEVER}


class Expectation(msgspec.Struct, frozen=True, rename={"source": "from"}):
    """One line of a test: this traffic is allowed, or denied."""

    source: str
    to: str
    verdict: str
    port: str | int = "any"
    name: str = ""


class Invariant(msgspec.Struct, frozen=True):
    """One of three statements about traffic."""

    name: str = ""
    always: Traffic | None = None
    never: Traffic | None = None
    only: Traffic | None = None


class Port(msgspec.Struct, frozen=True):
    """A port that an endpoint of a test names."""

    name: str
    port: int
    protocol: str = "TCP"


class Fixture(msgspec.Struct, frozen=True):
    """An endpoint of a test.

    Args:
        name: `NAMESPACE/NAME`.
        addresses: one is found for it when none is given.
    """

    name: str
    labels: dict[str, str] = {}
    addresses: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    account: str = ""


class CheckFile(msgspec.Struct, frozen=True):
    """A whole file.

    Args:
        manifests: files and folders of resources, relative to the file.
        namespaces: labels by name.
    """

    manifests: tuple[str, ...] = ()
    namespaces: dict[str, dict[str, str]] = {}
    endpoints: tuple[Fixture, ...] = ()
    expect: tuple[Expectation, ...] = ()
    invariants: tuple[Invariant, ...] = ()


def read_checks(text: str, file: str) -> CheckFile:
    """A file's content; several documents are one.

    Raises:
        InvalidResource: with every problem, and where it stands.
    """
    found = scan_values(text, file)
    problems = list(found.problems)
    parts: list[CheckFile] = []
    for value in found.values:
        if not isinstance(value.plain, dict):
            problems.append(Problem(file, "", "is no map", "write expect, invariants, …", file, value.place.line))
            continue
        document = _document(value.plain, file, value.place)
        checked = check(value.plain, CheckFile)
        problems += [_placed(document, *finding) for finding in checked.findings]
        part = msgspec.convert(checked.value, CheckFile)
        problems += [_placed(document, *finding) for finding in _nonsense(part)]
        parts.append(part)
    if problems:
        raise InvalidResource(*problems)
    return _joined(parts)


def _document(plain: dict[str, object], file: str, place: Place) -> Document:
    return Document("", "", plain, file, place)


def _placed(document: Document, path: str, problem: str, remedy: str = "") -> Problem:
    return msgspec.structs.replace(document.problem(path, problem, remedy), object="checks")


def _nonsense(part: CheckFile) -> Iterator[tuple[str, str, str]]:
    for index, one in enumerate(part.expect):
        if one.verdict and one.verdict not in _DEMANDS:
            yield f"expect[{index}].verdict", f"is {one.verdict!r}", f"use {ALLOW} or {DENY}"
    for index, each in enumerate(part.invariants):
        if sum(traffic is not None for traffic in (each.always, each.never, each.only)) != 1:
            yield f"invariants[{index}]", "states not exactly one thing", "give one of always, never, only"
    for index, fixture in enumerate(part.endpoints):
        namespace, slash, name = fixture.name.partition("/")
        if not (namespace and slash and name) or "/" in name:
            yield f"endpoints[{index}].name", f"{fixture.name!r} has no namespace", "write NAMESPACE/NAME"


def _joined(parts: list[CheckFile]) -> CheckFile:
    return CheckFile(
        manifests=tuple(one for part in parts for one in part.manifests),
        namespaces={name: labels for part in parts for name, labels in part.namespaces.items()},
        endpoints=tuple(one for part in parts for one in part.endpoints),
        expect=tuple(one for part in parts for one in part.expect),
        invariants=tuple(one for part in parts for one in part.invariants),
    )


def statements(checks: CheckFile) -> list[Statement]:
    """Everything that is to hold, expectations first."""
    found = []
    for one in checks.expect:
        traffic = Traffic(one.source, one.to, one.port)
        found.append(Statement(one.name or f"{one.verdict} {traffic.text()}", _DEMANDS[one.verdict], traffic))
    for each in checks.invariants:
        for demand in Demand:
            stated: Traffic | None = getattr(each, demand.value)
            if stated is not None:
                found.append(Statement(each.name or f"{demand.value} {stated.text()}", demand, stated))
    return found


def fixtures(checks: CheckFile) -> list[Resource]:
    """The endpoints of a test, and their namespaces. Raises InvalidResource."""
    names = {**{one.name.partition("/")[0]: {} for one in checks.endpoints}, **checks.namespaces}
    found = [_namespace(name, labels) for name, labels in names.items()]
    for number, fixture in enumerate(checks.endpoints, 1):
        found.append(_endpoint(fixture, number))
        if fixture.account:
            found.append(_account(fixture))
    return found


def _namespace(name: str, labels: Mapping[str, str]) -> Resource:
    metadata = {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}
    return convert({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).resource


def _account(fixture: Fixture) -> Resource:
    metadata = {"name": fixture.account, "namespace": fixture.name.partition("/")[0]}
    return convert({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}).resource


def _endpoint(fixture: Fixture, number: int) -> Resource:
    """Addresses that are not given are of the ranges that documents use (RFC 2544, RFC 3849)."""
    namespace, _, name = fixture.name.partition("/")
    high, low = divmod(number, 256)
    made = (f"198.18.{high}.{low}/32", f"2001:db8::{number:x}/128")
    profiles = (f"kns.{namespace}", *([f"ksa.{namespace}.{fixture.account}"] if fixture.account else []))
    spec = WorkloadEndpointSpec(
        orchestrator="k8s",
        node="node",
        pod=name,
        interface_name=f"cali{number}",
        ip_networks=fixture.addresses or made,
        profiles=profiles,
        service_account_name=fixture.account,
        ports=tuple(EndpointPort(name=one.name, protocol=one.protocol, port=one.port) for one in fixture.ports),
    )
    return WorkloadEndpoint(metadata=Metadata(name=name, namespace=namespace, labels=fixture.labels), spec=spec)
