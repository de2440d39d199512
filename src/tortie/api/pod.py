"""Pod: a Kubernetes object, of which only what concerns its network is kept (`v1`).

Images, volumes and above all environments, which may hold secrets, never reach the datastore.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tortie.api.resource import Model, Resource, words


class ContainerPort(Model, frozen=True, kw_only=True):
    """A port that a container serves; TCP unless said otherwise."""

    name: str = ""
    host_port: int = 0
    container_port: int = 0
    protocol: str = ""
    host_ip: str = msgspec.field(default="", name="hostIP")


class Container(Model, frozen=True, kw_only=True):
    """Name and ports of a container."""

    left_out: ClassVar[frozenset[str]] = words(
        "args command env envFrom image imagePullPolicy lifecycle livenessProbe readinessProbe resizePolicy resources "
        "restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce terminationMessagePath "
        "terminationMessagePolicy tty volumeDevices volumeMounts workingDir"
    )

    name: str = ""
    ports: tuple[ContainerPort, ...] = ()


class PodSpec(Model, frozen=True, kw_only=True):
    """Where the pod runs, as whom, and the ports of its containers."""

    left_out: ClassVar[frozenset[str]] = words(
        "activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks "
        "ephemeralContainers evictionResponders hostAliases hostIPC hostPID hostUsers hostname hostnameOverride "
        "imagePullSecrets nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates "
        "resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates schedulingGroup "
        "securityContext serviceAccount setHostnameAsFQDN shareProcessNamespace subdomain "
        "terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes workloadRef"
    )

    node_name: str = ""
    host_network: bool = False
    service_account_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class PodIP(Model, frozen=True, kw_only=True):
    """One address of a pod."""

    ip: str = ""


class PodStatus(Model, frozen=True, kw_only=True):
    """How far the pod has come, and its addresses."""

    left_out: ClassVar[frozenset[str]] = words(
        "allocatedResources conditions containerStatuses ephemeralContainerStatuses extendedResourceClaimStatus hostIP "
        "hostIPs initContainerStatuses message nominatedNodeName observedGeneration qosClass reason resize "
        "nodeAllocatableResourceClaimStatuses resourceClaimStatuses resources startTime volumeHealth"
    )

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: tuple[PodIP, ...] = msgspec.field(default=(), name="podIPs")


class Pod(Resource, frozen=True, kw_only=True):
    """A pod hands its labels and its service account on to its workload endpoints."""

    kind: ClassVar[str] = "Pod"
    api_version: ClassVar[str] = "v1"
    plural: ClassVar[str] = "pods"
    namespaced: ClassVar[bool] = True
    partial: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("po",)

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()
