"""Readers of what people write: manifests, selectors, settings, templates of the command line."""

from __future__ import annotations

import json
from pathlib import Path

import click
from target import CONFORMANCE, EXAMPLES, GOLDEN, Target, text_of

from tortie.agent.settings import read_settings
from tortie.api import codec, durations
from tortie.api.defaults import with_defaults
from tortie.api.documents import is_resource, load_resource, scan_documents
from tortie.api.pod import Pod
from tortie.api.resource import Resource
from tortie.api.validation import problems
from tortie.base.errors import InvalidResource, TortieError
from tortie.cli.gotemplate import parse_go_template
from tortie.cli.jsonpath import render
from tortie.cli.jsonpath_syntax import InvalidTemplate, parse_template
from tortie.cli.labels import label_selector
from tortie.convert.kubernetes import convert
from tortie.convert.pod import workload_endpoint
from tortie.datastore.etcd.settings import read_endpoints
from tortie.datastore.location import find_location
from tortie.selector.check import selector_problem
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse

TRICKY = (
    b"a: &a {k: v}\nb: {<<: *a, x: [*a, *a]}\nkind: IPPool\napiVersion: projectcalico.org/v3\n",
    b"--- !!map {kind: Tier, apiVersion: projectcalico.org/v3, metadata: !x {name: !!str 5}}\n...\n",
    b"%YAML 1.1\n%TAG ! tag:x,2000:\n---\n? kind\n: Tier\n? [a, b]\n: |+2\n   x\n\n: >-\n  y\n",
    b'{"kind": "List", "apiVersion": "v1", "items": [{"kind": "Tier", "apiVersion": "projectcalico.org/v3"}, null, 3]}',
    b'{"kind": "TierList", "apiVersion": "projectcalico.org/v3", "items": {"a": "\\ud83d\\ude00\\/\\u0000"}}',
)
"""Ways to write YAML and JSON that few people use."""


def manifests() -> list[bytes]:
    found = [*TRICKY, *(path.read_bytes() for path in sorted(EXAMPLES.rglob("*.yaml")))]
    for path in sorted(GOLDEN.glob("[A-Z]*.txt")):
        sections = path.read_bytes().removeprefix(b"## ").split(b"\n## ")
        found += [section.partition(b"\n")[2].partition(b"\n-- etcd\n")[0] for section in sections]
    cases = json.loads((CONFORMANCE / "validation.json").read_bytes())["cases"]
    return found + [json.dumps(case.get("resource", case["value"])).encode() for case in cases[::5]]


def read_manifest(data: bytes) -> None:
    for document in scan_documents(text_of(data), "f.yaml").documents:
        if is_resource(document):
            judge(load_resource(document))


def judge(resource: Resource) -> None:
    """What is done with a resource that a person gives; a valid one must survive being stored."""
    filled = with_defaults(resource)
    assert with_defaults(filled) == filled
    if not problems(filled, selector_problem):
        stored = codec.encode(filled)
        assert codec.encode(codec.decode(filled.kind, stored)) == stored


def selectors() -> list[bytes]:
    cases = json.loads((CONFORMANCE / "selectors.json").read_bytes())["cases"]
    return sorted({case["selector"].encode("utf-8", "surrogatepass") for case in cases if "selector" in case})


LABELS = {"a": "b", "role": "", "é": "x", "projectcalico.org/namespace": "shop"}


def read_selector(data: bytes) -> None:
    selector = parse(text_of(data))
    again = parse(selector.canonical)
    assert again.canonical == selector.canonical
    assert selector.matches(LABELS) == again.matches(LABELS)


CALICOCTL = b"""apiVersion: projectcalico.org/v3
kind: CalicoAPIConfig
metadata:
spec:
  datastoreType: etcdv3
  etcdEndpoints: https://10.0.0.1:2379, http://[fd00::1]:2379
  etcdUsername: u
  etcdPassword: "p"
  k8sAPIEndpoint: x
"""
SETTINGS = b"""# agent
[global]
node = n1
health_port=9099
refresh_seconds = 90.5
interface_prefix = cali
default_endpoint_to_host_action = Drop
log_level = debug
"""


def read_calicoctl(data: bytes) -> None:
    path = Path("/dev/shm") / f"tt-fuzz-calicoctl-{id(CALICOCTL)}.cfg"
    path.write_bytes(data)
    try:
        location = find_location({}, path)
        if not isinstance(location, Path):
            read_endpoints(location)
    finally:
        path.unlink()


def read_agent_settings(data: bytes) -> None:
    text = text_of(data)
    read_settings({}, text)


VERSIONS = {
    "Namespace": "v1",
    "ServiceAccount": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}


NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {
        "name": "n1",
        "labels": {"kubernetes.io/os": "linux"},
        "annotations": {
            "projectcalico.org/IPv4Address": "10.0.0.1/24",
            "projectcalico.org/ASNumber": "65001",
            "projectcalico.org/Interfaces": '[{"name":"eth0","addresses":["10.0.0.1"]}]',
        },
    },
    "spec": {"podCIDRs": ["10.1.0.0/24"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
}


def pods() -> list[bytes]:
    cases = json.loads((CONFORMANCE / "k8s_conversion.json").read_bytes())["cases"]
    found = [case["input"] for case in cases if case["kind"] == "Pod"]
    limits = {"ingressBandwidth": "10M", "ingressBurst": "4Gi", "egressPacketRate": "1k", "dscp": "AF41"}
    annotations = {f"qos.projectcalico.org/{name}": value for name, value in limits.items()}
    found.append({**found[0], "metadata": {**found[0]["metadata"], "annotations": annotations}})
    return [json.dumps({"apiVersion": "v1", "kind": "Pod", **one}).encode() for one in found]


def read_pod(data: bytes) -> None:
    pod = codec.decode("Pod", data)
    assert isinstance(pod, Pod)
    converted = workload_endpoint(pod)
    if converted is not None:
        stored = codec.encode(converted.resource)
        assert codec.encode(codec.decode("WorkloadEndpoint", stored)) == stored


def kubernetes_objects() -> list[bytes]:
    cases = json.loads((CONFORMANCE / "k8s_conversion.json").read_bytes())["cases"]
    found = [
        {"apiVersion": VERSIONS[case["kind"]], "kind": case["kind"], **case["input"]}
        for case in cases
        if case["kind"] in VERSIONS
    ]
    probes = json.loads((CONFORMANCE / "admin_policy_anp_banp.json").read_bytes())["cases"]
    found += [policy for case in probes[::4] for policy in case["policies"]]
    found.append(NODE)
    return [json.dumps(one).encode() for one in found]


def read_kubernetes(data: bytes) -> None:
    """From a file, as people give them."""
    for document in scan_documents(text_of(data)).documents:
        filled = with_defaults(convert(document.mapping).resource)
        problems(filled, selector_problem)


def read_duration(data: bytes) -> None:
    duration = durations.nanoseconds(text_of(data))
    if duration is not None:
        assert durations.nanoseconds(durations.spelt(duration)) == duration


SHOWN = {
    "kind": "TierList",
    "items": [{"metadata": {"name": "a", "labels": {"x/y": "1"}}, "spec": {"order": 1, "on": True}}, {"spec": None}],
}
JSON_PATHS = (
    b"{.items[*].metadata.name}",
    b'{range .items[*]}{.metadata.name}{"\\t"}{.spec.order}{"\\n"}{end}',
    b"{.items[?(@.spec.order>=1)].metadata['name']}",
    b"{..name} {.items[-1:]} {.items[0,1]['kind','spec']} {.items[0].metadata.labels.x/y}",
)
GO_TEMPLATES = (
    b"{{range .items}}{{.metadata.name}}{{end}}",
    b"{{- $x := .kind -}}{{range $i, $e := .items}}{{if eq 0 $i}}{{$e.spec.order}}{{else}},{{end}}{{end}}{{print $x}}",
    b'{{with index .items 0}}{{.metadata.labels | len}} {{"a\\n"}} {{`raw`}}{{end}}',
)
KUBECTL_SELECTORS = (b"role=web,shop,tier notin (a, b),!x", b"a==b,c!=d,e in (f)", b"role == 'web' && has(shop)")


def read_template(data: bytes) -> None:
    render(parse_template(text_of(data)), SHOWN)


def read_go_template(data: bytes) -> None:
    parse_go_template(text_of(data))(SHOWN)


TARGETS = {
    "manifest": Target(manifests, read_manifest, (InvalidResource,)),
    "selector": Target(selectors, read_selector, (InvalidSelector,)),
    "calicoctl.cfg": Target(lambda: [CALICOCTL], read_calicoctl, (InvalidResource,)),
    "agent settings": Target(lambda: [SETTINGS], read_agent_settings, (InvalidResource,)),
    "kubernetes": Target(kubernetes_objects, read_kubernetes, (TortieError,)),
    "pod": Target(
        pods, read_pod, (TortieError,), (b"1Gi", b"-1", b"1e9", b'"10.0.0.1/32,fd00::1"', b'"[\\"1.1.1.1\\"]"')
    ),
    "duration": Target(lambda: [b"1h2m3.5s", b"100ms", b"0"], read_duration, ()),
    "jsonpath": Target(
        lambda: JSON_PATHS, read_template, (InvalidTemplate,), (b"{range ", b"{end}", b"[?(", b"..", b"@")
    ),
    "go template": Target(
        lambda: GO_TEMPLATES, read_go_template, (InvalidTemplate,), (b"{{", b"}}", b"{{end}}", b":=")
    ),
    "label selector": Target(
        lambda: KUBECTL_SELECTORS, lambda data: label_selector(text_of(data)), (click.BadParameter,)
    ),
}
