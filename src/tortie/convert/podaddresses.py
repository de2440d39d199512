"""The addresses of a pod: its own, floating ones, and those that it may send from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tortie.api.pod import Pod
from tortie.api.workloadendpoint import IPNAT
from tortie.base.addresses import Cidr

ADDRESS = "cni.projectcalico.org/podIP"
ADDRESSES = "cni.projectcalico.org/podIPs"
AMAZON = "vpc.amazonaws.com/pod-ips"
"""Annotations in which CNI plugins leave addresses before the status has them; empty once they are released."""

FLOATING = "cni.projectcalico.org/floatingIPs"
SPOOFED = "cni.projectcalico.org/allowedSourcePrefixes"
"""Annotations that hold JSON lists."""

REQUESTED = "cni.projectcalico.org/ipAddrs"
UNMANAGED = "cni.projectcalico.org/ipAddrsNoIpam"
"""Annotations with JSON lists too: addresses that a pod wants, from the pools or from nobody."""

POOLS = {4: "cni.projectcalico.org/ipv4pools", 6: "cni.projectcalico.org/ipv6pools"}
"""Annotations with names or prefixes of pools to choose from."""

HARDWARE_ADDRESS = "cni.projectcalico.org/hwAddr"
"""Annotation with the MAC that a pod wants."""

FINISHED = ("Succeeded", "Failed")
"""Phases after which nothing of a pod runs any more."""


def is_finished(pod: Pod) -> bool:
    """Whether a pod has given its addresses back, though its status may name them still."""
    released = pod.metadata.annotations.get(ADDRESS) == ""
    return pod.status.phase in FINISHED or (pod.metadata.deletion_timestamp is not None and released)


def addresses(pod: Pod) -> tuple[Cidr, ...]:
    """Those that a pod has now: from its status, else from the annotations of a CNI plugin.

    Raises:
        ValueError: one cannot be read.
    """
    if is_finished(pod):
        return ()
    known = pod.metadata.annotations
    places: Sequence[Iterable[str]] = (
        [each.ip for each in pod.status.pod_ips],
        [pod.status.pod_ip],
        known.get(ADDRESSES, "").split(","),
        [known.get(ADDRESS, "")],
        known.get(AMAZON, "").split(","),
    )
    found = ([text.strip() for text in place if text.strip()] for place in places)
    return tuple(Cidr.host(text) for text in next(filter(None, found), []))


def floating(pod: Pod, own: Sequence[Cidr], warnings: list[str]) -> tuple[IPNAT, ...]:
    """Each floating address with the first of the pod's own addresses of its family."""
    pairs: list[IPNAT] = []
    for external in _listed(pod, FLOATING, warnings):
        family = 6 if ":" in external else 4
        internal = next((each for each in own if each.family == family), None)
        if internal is None:
            warnings.append(f"{FLOATING}: the pod has no IPv{family} address for {external}")
        else:
            pairs.append(IPNAT(internal_ip=internal.text, external_ip=external))
    return tuple(pairs)


def spoofed(pod: Pod, warnings: list[str]) -> tuple[str, ...]:
    """Prefixes from which a pod may send besides its own addresses."""
    return _listed(pod, SPOOFED, warnings)


def requested(pod: Pod) -> tuple[Cidr, ...]:
    """Addresses that a pod asks for, each of full length. Raises ValueError."""
    return tuple(map(Cidr.host, _texts(pod, REQUESTED)))


def unmanaged(pod: Pod) -> tuple[Cidr, ...]:
    """Addresses that a pod has from elsewhere, whatever the pools are; each of full length. Raises ValueError."""
    return tuple(map(Cidr.host, _texts(pod, UNMANAGED)))


def pools(pod: Pod, family: int) -> tuple[str, ...]:
    """Pools of a family that a pod asks for; none is any. Raises ValueError."""
    return _texts(pod, POOLS[family])


def _texts(pod: Pod, name: str) -> tuple[str, ...]:
    """Raises ValueError."""
    text = pod.metadata.annotations.get(name)
    try:
        return msgspec.json.decode(text, type=tuple[str, ...]) if text else ()
    except msgspec.MsgspecError as error:
        raise ValueError(f"{name} is no JSON list of texts: {error}") from None


def _listed(pod: Pod, name: str, warnings: list[str]) -> tuple[str, ...]:
    """The list of an annotation: none when one of its entries cannot be read."""
    text = pod.metadata.annotations.get(name)
    if not text:
        return ()
    try:
        texts = msgspec.json.decode(text, type=tuple[str, ...])
        for each in texts:
            Cidr.parse(each)
    except (msgspec.DecodeError, ValueError) as error:
        warnings.append(f"{name} cannot be read: {error}")
        return ()
    return texts
