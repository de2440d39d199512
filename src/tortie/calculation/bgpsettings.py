"""Settings of BGP for one node: those of the cluster (`default`), and the few that `node.NAME` can set for itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import msgspec

from tortie.api.bgp import BGPConfiguration, BGPConfigurationSpec, BGPPassword, CidrEntry
from tortie.api.bgp_extensions import BGPExtensions, read_extensions
from tortie.api.durations import SECOND, nanoseconds
from tortie.base.addresses import Cidr
from tortie.calculation.problems import Problems
from tortie.desired.bgp import DEFAULT_PORT, Advertisement, Password
from tortie.desired.routes import NORMAL_METRIC

DEFAULT = "default"
DEFAULT_AS = 64512
DEFAULT_PROGRAMMING = "EnabledNoEncapOnly"
DEFAULT_SEVERITY = "Info"

_SEVERITIES = {"Trace": "Debug", "Warn": "Warning", "Panic": "Fatal"}
"""Other words for severities."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}")
_PATTERN = re.compile(r"[A-Za-z0-9*?@.:_-]{1,15}")

Value = TypeVar("Value")


class ServiceRanges(msgspec.Struct, frozen=True, gc=False):
    """Ranges whose addresses are announced, by the kind of address; `aggregated` for those of load balancers."""

    cluster: tuple[Cidr, ...] = ()
    external: tuple[Cidr, ...] = ()
    load_balancer: tuple[Cidr, ...] = ()
    aggregated: bool = True


class Settings(msgspec.Struct, frozen=True, gc=False):
    """What holds for every node. Times are in seconds; priorities are by family."""

    as_number: int = DEFAULT_AS
    port: int = DEFAULT_PORT
    mesh: bool = True
    mesh_password: Password | None = None
    mesh_restart_time: int | None = None
    bind: bool = False
    programming: str = DEFAULT_PROGRAMMING
    ignored_interfaces: tuple[str, ...] = ()
    priority4: int = NORMAL_METRIC
    priority6: int = NORMAL_METRIC
    severity: str = DEFAULT_SEVERITY
    advertisements: tuple[Advertisement, ...] = ()
    ranges: ServiceRanges = ServiceRanges()
    mesh_extensions: BGPExtensions = BGPExtensions()


class _Reader:
    """Reads parts of one configuration; one that cannot be read is noted, and counts as not given."""

    def __init__(self, configuration: BGPConfiguration | None, problems: Problems) -> None:
        self._configuration = configuration
        self._problems = problems
        self.spec = configuration.spec if configuration else BGPConfigurationSpec()
        self.annotations = configuration.metadata.annotations if configuration else {}

    def read(self, part: Callable[[BGPConfigurationSpec], Value], otherwise: Value) -> Value:
        """A part of the specification."""
        try:
            return part(self.spec)
        except ValueError as error:
            if self._configuration is not None:
                self._problems.note(self._configuration.key, error)
            return otherwise


def read_settings(configurations: Mapping[str, BGPConfiguration], node: str, problems: Problems) -> Settings:
    """Settings of the cluster as they hold on this node."""
    all_nodes = _Reader(configurations.get(DEFAULT), problems)
    one_node = _Reader(configurations.get(f"node.{node}"), problems)
    spec = all_nodes.spec
    return Settings(
        as_number=all_nodes.read(lambda spec: as_number(spec.as_number or DEFAULT_AS), DEFAULT_AS),
        port=spec.listen_port or DEFAULT_PORT,
        mesh=spec.node_to_node_mesh_enabled is not False,
        mesh_password=all_nodes.read(lambda spec: password(spec.node_mesh_password), None),
        mesh_restart_time=all_nodes.read(lambda spec: seconds(spec.node_mesh_max_restart_time), None),
        bind=spec.bind_mode == "NodeIP",
        programming=spec.program_cluster_routes or DEFAULT_PROGRAMMING,
        ignored_interfaces=all_nodes.read(lambda spec: tuple(map(pattern, spec.ignored_interfaces)), ()),
        priority4=spec.ipv4_normal_route_priority or NORMAL_METRIC,
        priority6=spec.ipv6_normal_route_priority or NORMAL_METRIC,
        severity=_severity(one_node.spec.log_severity_screen or spec.log_severity_screen),
        advertisements=one_node.read(_advertisements, ()) or all_nodes.read(_advertisements, ()),
        ranges=all_nodes.read(_ranges, ServiceRanges()),
        mesh_extensions=all_nodes.read(lambda _: read_extensions(all_nodes.annotations), BGPExtensions()),
    )


def port_of(configurations: Mapping[str, BGPConfiguration], node: str, settings: Settings) -> int:
    """The port that a node listens on."""
    own = configurations.get(f"node.{node}")
    return (own.spec.listen_port if own else 0) or settings.port


def as_number(value: int | str) -> int:
    """An AS number given by number, decimal text or dotted halves (RFC 5396 asdot+).

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(value, int):
        return value
    high, dot, low = value.partition(".")
    return (int(high) << 16) + int(low) if dot else int(value)


def community(text: str) -> tuple[int, ...]:
    """A standard (`aa:nn`) or large (`aa:nn:mm`) community.

    Raises:
        ValueError: it is neither.
    """
    numbers = tuple(map(int, text.split(":")))
    most = {2: 2**16, 3: 2**32}.get(len(numbers), 0)
    if not all(0 <= number < most for number in numbers):
        raise ValueError(f"{text!r} is no community")
    return numbers


def password(reference: BGPPassword | None) -> Password | None:
    """Where a password is kept. Raises ValueError: it names no file of a directory."""
    if reference is None or reference.secret_key_ref is None:
        return None
    kept = reference.secret_key_ref
    if not (_FILE_NAME.fullmatch(kept.name) and _FILE_NAME.fullmatch(kept.key)):
        raise ValueError(f"password: {kept.name!r} and {kept.key!r} do not name a secret and a key of it")
    return Password(kept.name, kept.key, bool(kept.optional))


def seconds(duration: str | None) -> int | None:
    """Whole seconds of a duration, as BGP counts time. Raises ValueError."""
    if not duration:
        return None
    found = nanoseconds(duration)
    if found is None or not 0 <= found // SECOND < 2**16:
        raise ValueError(f"{duration!r} is no duration of up to 65535 seconds")
    return found // SECOND


def pattern(text: str) -> str:
    """A pattern of interface names. Raises ValueError: no interface has such a name."""
    if not _PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is no pattern of interface names")
    return text


def _severity(word: str) -> str:
    return _SEVERITIES.get(word, word) or DEFAULT_SEVERITY


def _advertisements(spec: BGPConfigurationSpec) -> tuple[Advertisement, ...]:
    named = {one.name: one.value for one in spec.communities}
    read = (
        Advertisement(Cidr.parse(one.cidr), tuple(community(named.get(text, text)) for text in one.communities))
        for one in spec.prefix_advertisements
    )
    return tuple(sorted(read))


def _ranges(spec: BGPConfigurationSpec) -> ServiceRanges:
    return ServiceRanges(
        cluster=_cidrs(spec.service_cluster_ips),
        external=_cidrs(spec.service_external_ips),
        load_balancer=_cidrs(spec.service_load_balancer_ips),
        aggregated=spec.service_load_balancer_aggregation != "Disabled",
    )


def _cidrs(entries: Iterable[CidrEntry]) -> tuple[Cidr, ...]:
    return tuple(sorted({Cidr.parse(one.cidr) for one in entries}))
