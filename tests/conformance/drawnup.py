"""Clusters as case files describe them, made into resources: pods and workloads with addresses that no policy names.

Loaded by path. Conventions of the files, all of them about who is who and none about what a policy means:

- Where policies name prefixes, they mean addresses outside the cluster; pods are chosen by selectors only.
  So pods get addresses of ranges of their own (`OURS`), and these are cut out of every prefix.
- A pod is in a namespace that exists, and is open to all when no policy governs it, as Kubernetes has it.
- A rule that only excludes prefixes means all other addresses outside the cluster.
- A workload stands for its pods; of several that are alike two are enough to tell how they treat each other.
- A pod of a job whose address another pod has by now has ended, and is none any more.
- Namespaces carry the label that Kubernetes gives them. Those of which nothing is said also carry the label by which
  such files tell namespaces (`NAMES`), if a policy of the file asks for its value.
- A workload without profile, or with one of which nothing is said, is open to all as long as no policy governs it.
- Where nothing is said of ends at all, there is one for every policy that it selects.
- A selector of pods or namespaces that peers of an AdminNetworkPolicy leave out selects all; names may hold `_`.
- Policies without an order come in the order of the file.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import msgspec

from tortie.api.codec import decode
from tortie.api.defaults import with_defaults
from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource
from tortie.api.rules import Rule
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec
from tortie.convert.kubernetes import convert, is_kubernetes
from tortie.selector.parser import parse

Document = Mapping[str, Any]

OURS = {4: ipaddress.ip_network("251.253.0.0/16"), 6: ipaddress.ip_network("fdfa:fbfc::/112")}
"""Where pods have their addresses."""

POD_LIMIT = 2
"""How many pods of one workload are drawn up."""

DEFAULT_NAMESPACE = "default"

NAMES = "unique-label"
"""A label of namespaces: its value is their name, as it is or in camel case, with `NameSpace` behind it."""

KUBERNETES_NAME = "kubernetes.io/metadata.name"

OPEN = "open"
"""Name of the profile of those that have none."""

LAST = 1e9
"""The order of the first policy that has none of its own."""

EVERYTHING = ("0.0.0.0/0", "::/0")

UNREAD = ("containerID", "status")
"""Fields that do not bear on policy, and are not always of the right type."""


class Registry:
    """Gives every pod its addresses, and remembers which workload it is of.

    Args:
        asked: values of the label `NAMES` that policies ask for.
    """

    def __init__(self, asked: frozenset[str] = frozenset()) -> None:
        self.resources: list[Resource] = []
        self._asked = asked
        self.workloads: dict[str, str] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """A namespace is there; labels that are not given leave it as it is."""
        if labels is not None or name not in self.namespaces:
            value = {f"{one}NameSpace" for one in (name, _camel(name))} & self._asked
            made = {NAMES: min(value)} if value else {}
            said = made if labels is None else labels
            self.namespaces[name] = {KUBERNETES_NAME: name, **said}

    def addresses(self) -> tuple[str, str]:
        """The next, of both families."""
        number = len(self.workloads) + 1
        return str(OURS[4][number]), str(OURS[6][number])

    def pod(self, pod: Document, workload: str) -> None:
        """A pod with `namespace`, `name`, `labels`, `ports` and `serviceAccount`."""
        namespace, name = pod["namespace"], pod["name"]
        self.namespace(namespace)
        account = pod.get("serviceAccount") or "default"
        spec = WorkloadEndpointSpec(
            orchestrator="k8s",
            node="node",
            interface_name=f"cali{len(self.workloads)}",
            ip_networks=self.addresses(),
            profiles=(f"kns.{namespace}", f"ksa.{namespace}.{account}"),
            service_account_name=account,
            ports=tuple(_ports(pod.get("ports") or ())),
        )
        metadata = Metadata(name=name, namespace=namespace, labels=dict(pod.get("labels") or {}))
        self.workloads[f"{namespace}/{name}"] = workload
        self.resources.append(WorkloadEndpoint(metadata=metadata, spec=spec))

    def endpoint(self, document: Document) -> None:
        """A WorkloadEndpoint or HostEndpoint as it is, but for its addresses and its node."""
        document = deepcopy(dict(document))
        spec, metadata = document["spec"], document["metadata"]
        for field in UNREAD:
            spec.pop(field, None)
        name = (
            f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else f"host/{metadata['name']}"
        )
        if document["kind"] == "WorkloadEndpoint":
            self.namespace(metadata["namespace"])
            spec["ipNetworks"] = list(self.addresses())
            spec["profiles"] = spec.get("profiles") or [OPEN]
        else:
            spec["expectedIPs"] = list(self.addresses())
        self.workloads[name] = name
        self.resources.append(resource(document))

    def all(self, written: Iterable[Resource] = ()) -> list[Resource]:
        """Everything, with accounts and namespaces; what was written replaces what was made up."""
        written = [_in_turn(one, number) for number, one in enumerate(written)]
        made: dict[Any, Resource] = {one.key: one for one in self._open_profiles()}
        for name, labels in self.namespaces.items():
            metadata = {"name": name, "labels": dict(labels)}
            one = convert({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).resource
            made[one.key] = one
        for one in self._accounts():
            made[one.key] = one
        for one in (*self.resources, *written):
            made[one.key] = _with_labels_of(one, made.get(one.key))
        return list(made.values())

    def _open_profiles(self) -> Iterator[Resource]:
        names = {name for one in self.resources for name in getattr(one.spec, "profiles", ())}
        allow = (Rule(action="Allow"),)
        yield from (
            Profile(metadata=Metadata(name=name), spec=ProfileSpec(ingress=allow, egress=allow))
            for name in sorted(names)
        )

    def represent(self, written: Iterable[Resource]) -> None:
        """Nothing is said of ends: for every policy there is a pod, and a host if it may be one, that it selects."""
        self.pod({"namespace": DEFAULT_NAMESPACE, "name": "any", "labels": {}}, "any")
        for number, one in enumerate(written):
            if isinstance(one, NetworkPolicy | GlobalNetworkPolicy):
                labels = dict(_wanted(one.spec.selector))
                namespace = one.metadata.namespace or DEFAULT_NAMESPACE
                self.pod({"namespace": namespace, "name": f"pod-{number}", "labels": labels}, f"pod-{number}")
                metadata = {"name": f"host-{number}", "labels": labels}
                self.endpoint(
                    {"kind": "HostEndpoint", "metadata": metadata, "spec": {"node": "node", "interfaceName": "*"}}
                )

    def _accounts(self) -> Iterator[Resource]:
        profiles = {
            profile
            for one in self.resources
            if isinstance(one, WorkloadEndpoint)
            for profile in one.spec.profiles
            if profile.startswith("ksa.")
        }
        for profile in sorted(profiles):
            _, namespace, account = profile.split(".", 2)
            metadata = {"name": account, "namespace": namespace}
            yield convert({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}).resource


def _with_labels_of(one: Resource, made: Resource | None) -> Resource:
    """A profile whose rules are written keeps the labels of its namespace or account."""
    if not isinstance(one, Profile) or not isinstance(made, Profile):
        return one
    labels = {**made.spec.labels_to_apply, **one.spec.labels_to_apply}
    return msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, labels_to_apply=labels))


def _wanted(selector: str) -> Iterator[tuple[str, str]]:
    """Labels that something has to have for a selector to select it."""
    for label, restriction in parse(selector).restrictions().items():
        if restriction.present:
            yield label, min(restriction.values or {"any"})


def _in_turn(one: Resource, number: int) -> Resource:
    if not isinstance(one, NetworkPolicy | GlobalNetworkPolicy) or one.spec.order is not None:
        return one
    return msgspec.structs.replace(one, spec=msgspec.structs.replace(one.spec, order=LAST + number))


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(part.capitalize() for part in rest)


def asked_names(value: Any) -> frozenset[str]:
    """Every text that ends as the values of the label `NAMES` do."""
    return frozenset(re.findall(r"[\w-]+NameSpace", json.dumps(value)))


def alive(pods: Sequence[Document]) -> Iterator[Document]:
    """Without those of jobs whose address others have, and each once."""
    seen = set()
    for pod in pods:
        name = (pod["namespace"], pod["name"])
        others = [one for one in pods if one["ip"] == pod["ip"] and (one["namespace"], one["name"]) != name]
        if name not in seen and not ("job-name" in pod["labels"] and pod["ip"] and others):
            yield pod
        seen.add(name)


def resource(document: Document) -> Resource:
    """A resource as it is stored. Raises InvalidResource."""
    if is_kubernetes(document):
        document = deepcopy(dict(document))
        document["metadata"]["name"] = document["metadata"]["name"].replace("_", "-")
        if document["kind"] == "NetworkPolicy":
            document["metadata"].setdefault("namespace", DEFAULT_NAMESPACE)
        return with_defaults(convert(without_ours(document)).resource)
    cleaned = without_ours(document)
    return with_defaults(decode(str(cleaned["kind"]), json.dumps(cleaned).encode()))


def without_ours(value: Any, field: str = "") -> Any:
    """The document with the addresses of pods cut out of every prefix that it names."""
    if isinstance(value, Mapping):
        if field == "ipBlock":
            return _block(value)
        if field == "pods":
            value = {"namespaceSelector": {}, "podSelector": {}, **value}
        if value.get("notNets") and not value.get("nets"):
            value = {**value, "nets": list(EVERYTHING)}
        return {name: without_ours(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        if field == "egress":
            value = [part for rule in value for part in _told_apart(rule)]
        if field in ("nets", "notNets", "networks"):
            return [part for net in value for part in _cut(net)]
        return [without_ours(inner, field) for inner in value]
    return value


def _block(block: Document) -> Document:
    outer = ipaddress.ip_network(block["cidr"], strict=False)
    excepted = list(block.get("except") or ())
    ours = OURS[outer.version]
    if ours.subnet_of(outer) and ours != outer:
        excepted.append(str(ours))
    return {**block, "except": excepted} if excepted else block


def _told_apart(rule: Document) -> Iterator[Document]:
    """A rule for pods and one for prefixes, where an AdminNetworkPolicy names ports: prefixes have no names."""
    ports = rule.get("ports") or []
    numbered = [port for port in ports if "namedPort" not in port]
    prefixes = [peer for peer in rule.get("to") or [] if isinstance(peer, Mapping) and "networks" in peer]
    if not prefixes or len(numbered) == len(ports):
        yield rule
        return
    yield {**rule, "to": [peer for peer in rule["to"] if peer not in prefixes]}
    if numbered:
        yield {**rule, "to": prefixes, "ports": numbered}


def _cut(text: str) -> list[str]:
    net = ipaddress.ip_network(text, strict=False)
    ours = OURS[net.version]
    return [str(part) for part in net.address_exclude(ours)] if ours.subnet_of(net) else [text]


def _ports(ports: Iterable[Document]) -> Iterator[EndpointPort]:
    for port in ports:
        number = port.get("containerPort") or port.get("port")
        if port.get("name") and number:
            yield EndpointPort(name=port["name"], protocol=port.get("protocol") or "TCP", port=number)


def pods_of(document: Document) -> list[Document]:
    """The pods that a workload's document (Deployment, StatefulSet, CronJob, …, or Pod) makes, at most POD_LIMIT."""
    metadata = document["metadata"]
    namespace = metadata.get("namespace") or DEFAULT_NAMESPACE
    spec = document.get("spec") or {}
    if document["kind"] == "Pod":
        return [_pod(metadata, spec, namespace, metadata["name"])]
    inner = spec.get("jobTemplate", {}).get("spec", spec)
    template = inner.get("template") or {}
    replicas = spec.get("replicas")
    count = min(POD_LIMIT, 1 if replicas is None else replicas)
    made = template.get("metadata") or {}
    return [
        _pod(made, template.get("spec") or {}, namespace, f"{document['kind'].lower()}.{metadata['name']}-{number}")
        for number in range(count)
    ]


def _pod(metadata: Document, spec: Document, namespace: str, name: str) -> Document:
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return {
        "namespace": namespace,
        "name": name,
        "labels": metadata.get("labels") or {},
        "ports": [port for container in containers for port in container.get("ports") or ()],
        "serviceAccount": spec.get("serviceAccountName"),
        "hostNetwork": spec.get("hostNetwork", False),
    }
