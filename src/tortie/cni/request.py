"""What a container runtime asks, parsed (CNI specification 1.1.0, section 2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from tortie.base.addresses import Cidr
from tortie.cni.configuration import Dns, Label, NetworkConfig, read_configuration
from tortie.cni.errors import INVALID_ENVIRONMENT, INVALID_NETWORK_CONFIG, CniError

_CONTAINER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_INTERFACE = re.compile(r"[^/\s:]{1,15}")
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")

LABELS_OF_ARGUMENTS = {
    "NOMAD_NAMESPACE": "nomad/namespace",
    "NOMAD_JOB_ID": "nomad/job",
    "NOMAD_GROUP_NAME": "nomad/group",
}
"""Entries of CNI_ARGS that become labels of the workload."""

CONTAINER_NAME = "tortie/container"
"""The label with the name that a runtime other than Kubernetes' gave a container."""

_OF_ONE_WORKLOAD = ("ADD", "DEL", "CHECK")


class Request(msgspec.Struct, frozen=True):
    """One call of the plugin.

    Args:
        namespace, pod: from CNI_ARGS when the runtime is Kubernetes' or behaves so; else both are empty.
        netns: path of the workload's network namespace; may be empty for DEL.
        variables: the CNI_ variables as they came.
        arguments: CNI_ARGS.
        data: the configuration as it came.
    """

    command: str
    container_id: str
    netns: str
    interface: str
    namespace: str
    pod: str
    config: NetworkConfig
    variables: Mapping[str, str] = {}
    arguments: Mapping[str, str] = {}
    data: bytes = b""

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
        given = [*self.config.runtime_config.ips, *self.config.args.cni.ips, self.arguments.get("IP", "")]
        try:
            return tuple(dict.fromkeys(Cidr.host(text) for text in given if text))
        except ValueError as error:
            raise CniError(INVALID_NETWORK_CONFIG, "a requested address is not one", str(error)) from error

    @property
    def requested_mac(self) -> str:
        """The hardware address that the workload asks for; empty is any. Raises CniError."""
        given = self.config.runtime_config.mac or self.config.args.cni.mac or self.arguments.get("MAC", "")
        return checked_mac(given)

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations that the workload brings."""
        return self.config.runtime_config.annotations or {}

    @property
    def labels(self) -> dict[str, str]:
        """Labels that the workload brings; what its runtime says counts more than what the network says."""
        config = self.config
        named = {label: self.arguments.get(name, "") for name, label in LABELS_OF_ARGUMENTS.items()}
        if not self.pod:
            named[CONTAINER_NAME] = self.arguments.get("K8S_POD_NAME", "")
        found = {name: value for name, value in named.items() if value}
        for labels in (
            config.args.mesos.network_info.labels.labels,
            config.args.cni.labels,
            config.runtime_config.labels,
        ):
            found |= labels if isinstance(labels, dict) else _by_key(labels)
        return found

    def dns(self, given: Dns | None) -> Dns:
        """Name servers for the result: of the runtime, else of the network, else those given."""
        asked = self.config.runtime_config.dns
        if asked is not None:
            return Dns(nameservers=asked.servers, search=asked.searches, options=asked.options)
        return self.config.dns if given is None or self.config.dns != Dns() else given

    def wants(self, family: int) -> bool:
        """Whether an address of this family is to be assigned."""
        return self.config.ipam.wants(family)


def checked_mac(text: str) -> str:
    """A hardware address in lower case; empty stays so. Raises CniError."""
    if text and not _MAC.fullmatch(text):
        raise CniError(INVALID_NETWORK_CONFIG, "a requested hardware address is not one", repr(text))
    return text.lower()


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
    namespace, pod = arguments.get("K8S_POD_NAMESPACE", ""), arguments.get("K8S_POD_NAME", "")
    is_pod = bool(namespace and pod)
    request = Request(
        command=variables.get("CNI_COMMAND", ""),
        container_id=variables.get("CNI_CONTAINERID", ""),
        netns=variables.get("CNI_NETNS", ""),
        interface=variables.get("CNI_IFNAME", ""),
        # Podman gives a name and no namespace: that is no pod.
        namespace=namespace if is_pod else "",
        pod=pod if is_pod else "",
        config=read_configuration(config),
        variables=variables,
        arguments=arguments,
        data=config,
    )
    if request.command in _OF_ONE_WORKLOAD:
        _check(request)
    return request


def _arguments(text: str) -> Mapping[str, str]:
    pairs = (pair.partition("=") for pair in text.split(";") if "=" in pair)
    return {key: value for key, _, value in pairs}


def _by_key(labels: tuple[Label, ...]) -> dict[str, str]:
    return {label.key: label.value for label in labels}


def _check(request: Request) -> None:
    if not _CONTAINER_ID.fullmatch(request.container_id):
        raise CniError(INVALID_ENVIRONMENT, "CNI_CONTAINERID is missing or malformed", repr(request.container_id))
    if not _INTERFACE.fullmatch(request.interface) or request.interface in (".", ".."):
        raise CniError(INVALID_ENVIRONMENT, "CNI_IFNAME is not an interface name", repr(request.interface))
    if request.command != "DEL" and not request.netns:
        needed = f"{request.command} needs the path of a network namespace"
        raise CniError(INVALID_ENVIRONMENT, "CNI_NETNS is missing", needed)
