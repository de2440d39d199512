"""The network configuration that a runtime hands over, as far as we read it; everything else in it is let pass."""

from __future__ import annotations

from typing import Any

import msgspec

from tortie.cni.errors import DECODE_FAILURE, INVALID_NETWORK_CONFIG, CniError

OWN_ADDRESSES = ("", "tortie-ipam", "calico-ipam")
"""Values of `ipam.type` that mean addresses of the cluster's pools; others are plugins of that name."""


class Label(msgspec.Struct, frozen=True):
    """One label of the CNI conventions' `args.cni.labels`."""

    key: str
    value: str = ""


class CniArgs(msgspec.Struct, frozen=True):
    """The CNI conventions' `args.cni`: labels of the workload, and addresses it asks for."""

    labels: tuple[Label, ...] = ()
    ips: tuple[str, ...] = ()
    mac: str = ""


class MesosLabels(msgspec.Struct, frozen=True):
    """What Mesos wraps around its labels."""

    labels: tuple[Label, ...] = ()


class MesosNetwork(msgspec.Struct, frozen=True):
    """The network that a task of Mesos asks for."""

    labels: MesosLabels = MesosLabels()


class MesosArgs(msgspec.Struct, frozen=True):
    """What Mesos says of a task."""

    network_info: MesosNetwork = MesosNetwork()


class Args(msgspec.Struct, frozen=True):
    """`args` of the network configuration."""

    cni: CniArgs = CniArgs()
    mesos: MesosArgs = msgspec.field(default=MesosArgs(), name="org.apache.mesos")


class Dns(msgspec.Struct, frozen=True, omit_defaults=True):
    """Name servers; handed back to the runtime as they are."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class RuntimeDns(msgspec.Struct, frozen=True):
    """Name servers as the capability `dns` writes them."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class RuntimeConfig(msgspec.Struct, frozen=True):
    """Capabilities: what the workload asks for, and its pod's annotations, as containerd hands them on."""

    ips: tuple[str, ...] = ()
    mac: str = ""
    labels: dict[str, str] | tuple[Label, ...] = ()
    dns: RuntimeDns | None = None
    annotations: dict[str, str] | None = msgspec.field(default=None, name="io.kubernetes.cri.pod-annotations")


class IpamConfig(msgspec.Struct, frozen=True):
    """Where addresses come from; of our own, which families and pools (names or prefixes)."""

    type: str = ""
    assign_ipv4: bool | str = True
    assign_ipv6: bool | str = True
    ipv4_pools: tuple[str, ...] = ()
    ipv6_pools: tuple[str, ...] = ()

    @property
    def delegate(self) -> str:
        """The plugin that gives addresses; empty where they come from the cluster's pools."""
        return "" if self.type in OWN_ADDRESSES else self.type

    def wants(self, family: int) -> bool:
        """Whether an address of this family is to be assigned."""
        value = self.assign_ipv4 if family == 4 else self.assign_ipv6
        return value if isinstance(value, bool) else value.lower() == "true"


class ContainerSettings(msgspec.Struct, frozen=True):
    """Sysctls of the workload."""

    allow_ip_forwarding: bool = False


class FeatureControl(msgspec.Struct, frozen=True):
    """What annotations may ask for besides."""

    ip_addrs_no_ipam: bool = False


class ValidAttachment(msgspec.Struct, frozen=True):
    """What a runtime still has of this network."""

    container_id: str = msgspec.field(name="containerID")
    interface: str = msgspec.field(name="ifname")


class NetworkConfig(msgspec.Struct, frozen=True):
    """The fields of the network configuration that we read.

    Args:
        mtu: bytes; 0 is that of the host less what its tunnels need.
        queues: of either end of the cable; 0 is the kernel's default.
        nodename: of the node that this configuration is for; empty is any.
        policy_timeout: seconds that ADD waits for policy and routes; 0 does not wait; None is the default.
        include_default_routes: whether results name the default routes.
        previous: the result of ADD, for CHECK and DEL; or of the plugin before.
        valid_attachments: what GC leaves; None where it was not said.
    """

    cni_version: str = msgspec.field(default="0.2.0", name="cniVersion")
    name: str = ""
    mtu: int = 0
    queues: int = msgspec.field(default=0, name="num_queues")
    nodename: str = ""
    ipam: IpamConfig = IpamConfig()
    args: Args = Args()
    dns: Dns = Dns()
    runtime_config: RuntimeConfig = msgspec.field(default=RuntimeConfig(), name="runtimeConfig")
    container_settings: ContainerSettings = ContainerSettings()
    feature_control: FeatureControl = FeatureControl()
    policy_timeout: float | None = msgspec.field(default=None, name="policy_setup_timeout_seconds")
    include_default_routes: bool = False
    podman_directory: str = "/var/lib/containers/storage/libpod"
    previous: dict[str, Any] | None = msgspec.field(default=None, name="prevResult")
    valid_attachments: tuple[ValidAttachment, ...] | None = msgspec.field(
        default=None, name="cni.dev/valid-attachments"
    )
    early_valid_attachments: tuple[ValidAttachment, ...] | None = msgspec.field(
        default=None, name="cni.dev/attachments"
    )


def read_configuration(data: bytes) -> NetworkConfig:
    """Raises CniError."""
    try:
        config = msgspec.json.decode(data, type=NetworkConfig)
    except msgspec.ValidationError as error:
        raise CniError(INVALID_NETWORK_CONFIG, "the network configuration cannot be used", str(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CniError(DECODE_FAILURE, "the network configuration is no JSON", str(error)) from error
    if not config.name:
        raise CniError(INVALID_NETWORK_CONFIG, "the network configuration has no name", "add a `name`")
    return config
