"""What a container runtime asks, parsed (CNI specification 1.0.0, section 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tortie.base.addresses import Cidr
from tortie.cni.errors import INVALID_ENVIRONMENT, INVALID_NETWORK_CONFIG, CniError

_CONTAINER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_INTERFACE = re.compile(r"[^/\s:]{1,15}")


class Label(msgspec.Struct, frozen=True):
    """One label of the CNI conventions' `args.cni.labels`."""

    key: str
    value: str = ""


class CniArgs(msgspec.Struct, frozen=True):
    """The CNI conventions' `args.cni`: labels of the workload, and addresses it asks for."""

    labels: tuple[Label, ...] = ()
    ips: tuple[str, ...] = ()


class Args(msgspec.Struct, frozen=True):
    """`args` of the network configuration."""

    cni: CniArgs = CniArgs()


class RuntimeConfig(msgspec.Struct, frozen=True):
    """Capabilities: addresses that the workload asks for, and its pod's annotations, as containerd hands them on."""

    ips: tuple[str, ...] = ()
    annotations: dict[str, str] | None = msgspec.field(default=None, name="io.kubernetes.cri.pod-annotations")


class IpamConfig(msgspec.Struct, frozen=True):
    """Which families and pools (names or prefixes) to take addresses from."""

    assign_ipv4: bool | str = True
    assign_ipv6: bool | str = True
    ipv4_pools: tuple[str, ...] = ()
    ipv6_pools: tuple[str, ...] = ()


class NetworkConfig(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of the network configuration that we read."""

    cni_version: str = "0.2.0"
    name: str = ""
    mtu: int = 0
    ipam: IpamConfig = IpamConfig()
    args: Args = Args()
    runtime_config: RuntimeConfig = RuntimeConfig()


class Request(msgspec.Struct, frozen=True):
    """One call of the plugin.

    Args:
        namespace, pod: from CNI_ARGS when the runtime is Kubernetes' or behaves so; else empty.
        netns: path of the workload's network namespace; may be empty for DEL.
    """

    command: str
    container_id: str
    netns: str
    interface: str
    namespace: str
    pod: str
    config: NetworkConfig

    @property
    def workload(self) -> str:
        """Whom the request is about, over all of its sandboxes: requests for one workload run one at a time."""
        return f"{self.namespace}/{self.pod}" if self.pod else self.container_id

    @property
    def handle(self) -> str:
        """Under which the workload's addresses are held."""
        return f"{self.config.name}.{self.container_id}"

    @property
    def requested_addresses(self) -> tuple[Cidr, ...]:
        """Addresses that the workload asks for, each of full length. Raises CniError."""
        try:
            return tuple(Cidr.host(text) for text in (*self.config.runtime_config.ips, *self.config.args.cni.ips))
        except ValueError as error:
            raise CniError(INVALID_NETWORK_CONFIG, "a requested address is not one", str(error)) from error

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations that the workload brings."""
        return self.config.runtime_config.annotations or {}

    @property
    def labels(self) -> dict[str, str]:
        """Labels that the workload brings."""
        return {label.key: label.value for label in self.config.args.cni.labels}

    def wants(self, family: int) -> bool:
        """Whether an address of this family is to be assigned."""
        value = self.config.ipam.assign_ipv4 if family == 4 else self.config.ipam.assign_ipv6
        return value if isinstance(value, bool) else value.lower() == "true"


def parse(data: bytes) -> Request:
    """Read what the plugin sent: NUL-joined CNI_ variables, an empty entry, and the configuration.

    Raises:
        CniError: with the specification's code for what is missing or malformed.
    """
    head, separator, config = data.partition(b"\0\0")
    if not separator:
        raise CniError(INVALID_ENVIRONMENT, "the request is cut short", "no configuration follows the variables")
    variables = dict(
        entry.decode(errors="surrogateescape").split("=", 1) for entry in head.split(b"\0") if b"=" in entry
    )
    arguments = _arguments(variables.get("CNI_ARGS", ""))
    request = Request(
        command=variables.get("CNI_COMMAND", ""),
        container_id=variables.get("CNI_CONTAINERID", ""),
        netns=variables.get("CNI_NETNS", ""),
        interface=variables.get("CNI_IFNAME", ""),
        namespace=arguments.get("K8S_POD_NAMESPACE", ""),
        pod=arguments.get("K8S_POD_NAME", ""),
        config=_config(config),
    )
    _check(request)
    return request


def _arguments(text: str) -> Mapping[str, str]:
    pairs = (pair.partition("=") for pair in text.split(";") if "=" in pair)
    return {key: value for key, _, value in pairs}


def _config(data: bytes) -> NetworkConfig:
    try:
        config = msgspec.json.decode(data, type=NetworkConfig)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CniError(INVALID_NETWORK_CONFIG, "the network configuration cannot be read", str(error)) from error
    if not config.name:
        raise CniError(INVALID_NETWORK_CONFIG, "the network configuration has no name", "add a `name`")
    return config


def _check(request: Request) -> None:
    if not _CONTAINER_ID.fullmatch(request.container_id):
        raise CniError(INVALID_ENVIRONMENT, "CNI_CONTAINERID is missing or malformed", repr(request.container_id))
    if not _INTERFACE.fullmatch(request.interface) or request.interface in (".", ".."):
        raise CniError(INVALID_ENVIRONMENT, "CNI_IFNAME is not an interface name", repr(request.interface))
    if request.command == "ADD" and not request.netns:
        raise CniError(INVALID_ENVIRONMENT, "CNI_NETNS is missing", "ADD needs the path of a network namespace")
