"""Settings of an agent: a table of names, meanings and defaults, read from a file and the environment.

Later sources win: default, file (`key = value` lines), environment; what the datastore says comes in between, see
`configuration`. Names in the environment are
`TORTIE_<NAME>`, then what users of Felix know.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tortie.agent.datastore_settings import DATASTORE_TABLE
from tortie.agent.moving_settings import MOVING_TABLE
from tortie.agent.network_settings import NETWORK_TABLE, NetworkSettings
from tortie.agent.setting import Setting
from tortie.agent.setting_values import (
    burst,
    flag,
    group,
    one_of,
    optional_seconds,
    port,
    positive_seconds,
    region,
    router_id,
    seconds,
    whole_seconds,
)
from tortie.agent.whereabouts import COMMAND_LINE, CONFIGURATION_FILE, DEFAULT, ENVIRONMENT, Origin, find, shown
from tortie.agent.wireguard_settings import WIREGUARD_TABLE
from tortie.base.errors import InvalidResource, Problem
from tortie.datastore.location import Location
from tortie.desired.failsafes import DEFAULT_FAILSAFES, Failsafe, failsafes_text, parse_failsafes
from tortie.desired.settings import LogRate

DEFAULT_INTERVAL = 30.0
"""Seconds between two signs of life of a host that is asked for its endpoints."""

_INTERFACE_PREFIX = re.compile(r"[A-Za-z0-9]{1,10}")
"""The rest of an interface's 15 characters tells workloads apart."""
_LOG_PREFIX = re.compile(r"[a-zA-Z0-9%: /_-]*")


class Settings(NetworkSettings, frozen=True, kw_only=True):
    """Effective settings; see TABLE for what each means. `datastore` is what all rows about it say together."""

    node: str
    datastore: Location
    run_directory: Path
    netns: Path | None
    bird_directory: Path | None
    bird_program: str
    bgp_secrets_directory: Path | None
    router_id: str
    interface_prefix: str
    default_endpoint_to_host_action: str
    conntrack_on_policy_change: str
    log_prefix: str
    log_action_rate_limit: str
    log_action_rate_limit_burst: int
    log_group: int | None
    failsafe_inbound_host_ports: tuple[Failsafe, ...]
    failsafe_outbound_host_ports: tuple[Failsafe, ...]
    health_host: str
    health_port: int
    refresh_seconds: float
    path_probe_seconds: float
    endpoint_reporting_enabled: bool
    endpoint_reporting_delay_seconds: float
    reporting_interval_seconds: float | None
    reporting_ttl_seconds: int
    endpoint_status_path_prefix: Path | None
    openstack_region: str
    log_level: str

    @property
    def reporting_interval(self) -> float:
        """Seconds between two signs of life; 0 is none."""
        return _interval(self.reporting_interval_seconds, self.endpoint_reporting_enabled)

    @property
    def bird_socket(self) -> Path | None:
        """Where BIRD answers; None where there is none."""
        return self.bird_directory / "bird.ctl" if self.bird_directory else None


def _log_level(text: str) -> str:
    """Felix knows more levels than it uses."""
    felix = {"trace": "debug", "fatal": "error", "none": "error"}
    return one_of("debug", "info", "warning", "error")(felix.get(text.lower(), text))


def _optional_path(text: str) -> Path | None:
    return Path(text) if text else None


def _log_prefix(text: str) -> str:
    if not _LOG_PREFIX.fullmatch(text):
        raise ValueError("use letters, digits, blanks, and any of % : / _ -")
    return text


def _rate(text: str) -> str:
    if text:
        LogRate.parse(text)
    return text


def _prefix(text: str) -> str:
    if not _INTERFACE_PREFIX.fullmatch(text):
        raise ValueError("use up to 10 of the letters a to z and digits; one prefix only")
    return text


def _name(text: str) -> str:
    if not text or "/" in text:
        raise ValueError("use the name of this node's Node resource")
    return text


TABLE: tuple[Setting, ...] = (
    Setting("node", _name, "", "Name of this node; the host name when empty.", ("FELIX_FELIXHOSTNAME", "NODENAME")),
    *DATASTORE_TABLE,
    Setting("run_directory", Path, "/run/tortie", "Sockets and the rule names of this agent."),
    Setting("netns", _optional_path, "", "Network namespace to work in; that of the process when empty."),
    Setting("bird_directory", _optional_path, "", "Where bird.conf and bird.ctl are; no BGP when empty."),
    Setting("bird_program", str, "bird", "The BIRD binary, for checking configurations."),
    Setting(
        "bgp_secrets_directory",
        _optional_path,
        "/etc/tortie/secrets",
        "Where passwords of BGP sessions are, each in a file SECRET/KEY.",
    ),
    Setting(
        "router_id",
        router_id,
        "",
        "BGP identity: a dotted quad, or hash for one made of the node's name; the node's IPv4 address when empty.",
        ("CALICO_ROUTER_ID",),
    ),
    Setting("interface_prefix", _prefix, "cali", "How names of workload interfaces begin.", ("FELIX_INTERFACEPREFIX",)),
    Setting(
        "default_endpoint_to_host_action",
        one_of("Drop", "Accept", "Return"),
        "Drop",
        "What happens to traffic from a workload to its own host that the workload may send.",
        ("FELIX_DEFAULTENDPOINTTOHOSTACTION",),
    ),
    Setting(
        "conntrack_on_policy_change",
        one_of("Keep", "CutMatching"),
        "Keep",
        "What becomes of established flows that changed policy denies: they live on, or are cut within a second.",
    ),
    Setting(
        "log_prefix",
        _log_prefix,
        "calico-packet",
        "How messages of Log rules begin; %t is the tier, %k the kind, %n the name, %p namespace/name.",
        ("FELIX_LOGPREFIX",),
    ),
    Setting(
        "log_action_rate_limit",
        _rate,
        "",
        "Most messages of each Log rule, such as 10/second; no limit when empty.",
        ("FELIX_LOGACTIONRATELIMIT",),
    ),
    Setting(
        "log_action_rate_limit_burst",
        burst,
        "5",
        "Messages of a Log rule at once beyond that rate.",
        ("FELIX_LOGACTIONRATELIMITBURST",),
    ),
    Setting("log_group", group, "", "nflog group that Log rules write to; the kernel's log when empty."),
    Setting(
        "failsafe_inbound_host_ports",
        parse_failsafes,
        failsafes_text(DEFAULT_FAILSAFES.inbound),
        "Ports of the host that stay open whatever policy says, each with the network that may use it: "
        "tcp:22, tcp:10.0.0.0/8:22, tcp:[fd00::/8]:22; none closes all.",
        ("FELIX_FAILSAFEINBOUNDHOSTPORTS",),
    ),
    Setting(
        "failsafe_outbound_host_ports",
        parse_failsafes,
        failsafes_text(DEFAULT_FAILSAFES.outbound),
        "Ports that the host can always reach whatever policy says, in the same form.",
        ("FELIX_FAILSAFEOUTBOUNDHOSTPORTS",),
    ),
    *NETWORK_TABLE,
    *WIREGUARD_TABLE,
    *MOVING_TABLE,
    Setting("health_host", str, "localhost", "Where health, status and metrics are served.", ("FELIX_HEALTHHOST",)),
    Setting("health_port", port, "9099", "TCP port of health, status and metrics; 0 for none.", ("FELIX_HEALTHPORT",)),
    Setting("refresh_seconds", positive_seconds, "90", "Time between full comparisons with the kernel."),
    Setting(
        "path_probe_seconds",
        seconds,
        "60",
        "Time between two looks whether other hosts get packets of full size, by ICMP; 0 never looks.",
    ),
    Setting(
        "endpoint_reporting_enabled",
        flag,
        "false",
        "Whether the datastore is told how each endpoint of this host is, as networking-calico expects.",
        ("FELIX_ENDPOINTREPORTINGENABLED",),
    ),
    Setting(
        "endpoint_reporting_delay_seconds",
        seconds,
        "1",
        "Time for which changes of these are collected before they are written.",
        ("FELIX_ENDPOINTREPORTINGDELAYSECS",),
    ),
    Setting(
        "reporting_interval_seconds",
        optional_seconds,
        "",
        "Time between two signs of life of this host in the datastore; 0 for none. When empty, 30 where "
        "`endpoint_reporting_enabled` is true, and none elsewhere.",
        ("FELIX_REPORTINGINTERVALSECS",),
    ),
    Setting(
        "reporting_ttl_seconds",
        whole_seconds,
        "90",
        "Time after which a sign of life vanishes; longer than that between two.",
        ("FELIX_REPORTINGTTLSECS",),
    ),
    Setting(
        "endpoint_status_path_prefix",
        _optional_path,
        "",
        "Where `endpoint-status` is, the directory of files for CNI plugins that wait for policy; none when empty.",
        ("FELIX_ENDPOINTSTATUSPATHPREFIX",),
    ),
    Setting(
        "openstack_region",
        region,
        "",
        "Region of OpenStack that this host is in, for what is told of it.",
        ("FELIX_OPENSTACKREGION",),
    ),
    Setting(
        "log_level",
        _log_level,
        "info",
        "Least severity that is logged.",
        ("FELIX_LOGSEVERITYSCREEN",),
    ),
)


class Values(msgspec.Struct, frozen=True):
    """Meaning and origin of every row of TABLE."""

    meanings: dict[str, Any]
    origins: dict[str, Origin]

    @property
    def settings(self) -> Settings:
        """As one struct."""
        known = Settings.__struct_fields__
        return Settings(**{name: value for name, value in self.meanings.items() if name in known})

    @property
    def shown(self) -> dict[str, Origin]:
        """What people may see."""
        return {row.name: shown(self.origins[row.name], row.secret) for row in TABLE}


def read_settings(
    environment: Mapping[str, str], file_text: str = "", overrides: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, Origin]]:
    """What `read_values` reads, and the origin of each."""
    values = read_values(environment, file_text, overrides)
    return values.settings, values.shown


def read_values(
    environment: Mapping[str, str], file_text: str = "", overrides: Mapping[str, str] | None = None
) -> Values:
    """What this host says by itself.

    Args:
        environment: variables of the process.
        file_text: content of the configuration file.
        overrides: from the command line; they win.

    Raises:
        InvalidResource: every value that cannot be used, with its source and what would be right.
    """
    from_file = _parse_file(file_text)
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    problems = []
    for setting in TABLE:
        origin = _origin(setting, environment, from_file, overrides or {})
        try:
            values[setting.name] = setting.parse(origin.value)
        except ValueError as error:
            problems.append(Problem(origin.source, setting.name, f"{origin.value!r} cannot be used", str(error)))
        origins[setting.name] = origin
    try:
        values["datastore"], origins["datastore"] = find(origins, environment, values.get("etcd_timeout_seconds", 1.0))
    except InvalidResource as error:
        problems += error.problems
    problems += contradictions(values, origins)
    if problems:
        raise InvalidResource(*problems)
    return Values(values, origins)


def contradictions(values: Mapping[str, Any], origins: Mapping[str, Origin]) -> Iterator[Problem]:
    """Values that are right by themselves, but not together. Those that cannot be used are missing."""
    name = "reporting_ttl_seconds"
    interval = _interval(values.get("reporting_interval_seconds"), values.get("endpoint_reporting_enabled", False))
    if interval and name in values and values[name] <= interval:
        remedy = f"use more than the {interval:g} seconds between two signs of life"
        yield Problem(origins[name].source, name, f"{origins[name].value!r} cannot be used", remedy)


def _interval(given: float | None, is_reporting: bool) -> float:
    if given is not None:
        return given
    return DEFAULT_INTERVAL if is_reporting else 0


def _origin(
    setting: Setting, environment: Mapping[str, str], from_file: Mapping[str, str], overrides: Mapping[str, str]
) -> Origin:
    if setting.name in overrides:
        return Origin(overrides[setting.name], COMMAND_LINE)
    for variable in (f"TORTIE_{setting.name.upper()}", *setting.also):
        if environment.get(variable):
            return Origin(environment[variable], f"{ENVIRONMENT} {variable}")
    if from_file.get(setting.name):
        return Origin(from_file[setting.name], CONFIGURATION_FILE)
    if setting.name == "node":
        return Origin(socket.gethostname().lower(), "host name")
    return Origin(setting.default, DEFAULT)


def _parse_file(text: str) -> dict[str, str]:
    values = {}
    problems = []
    known = [setting.name for setting in TABLE]
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", ";", "[")):
            continue
        key, separator, value = stripped.partition("=")
        key = key.strip().lower()
        if separator and key in known:
            values[key] = value.strip()
        else:
            remedy = f"known are {', '.join(known)}"
            problems.append(Problem("configuration file", f"line {number}", f"{stripped!r} is not a setting", remedy))
    if problems:
        raise InvalidResource(*problems)
    return values
