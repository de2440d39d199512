"""Cluster-wide policies of every form: what can be written becomes a valid policy, and nothing else gets through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.codec import decode, encode
from tortie.api.defaults import with_defaults
from tortie.api.policy import GlobalNetworkPolicy
from tortie.api.rules import EntityRule, Rule
from tortie.api.validation import problems
from tortie.base.errors import InvalidResource
from tortie.convert.kubernetes import convert
from tortie.convert.labelselector import NODES, PODS
from tortie.selector.check import selector_problem

Draw = st.SearchStrategy[Any]

KEYS = st.sampled_from(["a", "app.example.com/tier", "kubernetes.io/metadata.name", "in"])
VALUES = st.sampled_from(["", "b", "all", "10.0.0.0"])
EXPRESSIONS = st.one_of(
    st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
    st.fixed_dictionaries(
        {"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(VALUES, min_size=1, max_size=2)}
    ),
)
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(KEYS, VALUES, max_size=2),
        "matchExpressions": st.lists(EXPRESSIONS, max_size=3),
    },
)
NAMES = st.sampled_from(["web", "a.b", "a-b.c.d", "0"])
PODS_OF = st.fixed_dictionaries({"podSelector": SELECTORS, "namespaceSelector": SELECTORS})
PODS_OF_OLD = st.fixed_dictionaries(
    {"podSelector": SELECTORS, "namespaces": st.fixed_dictionaries({"namespaceSelector": SELECTORS})}
)
NETWORKS = st.lists(st.sampled_from(["0.0.0.0/0", "::/0", "10.0.0.1/8", "fd00::/64"]), min_size=1, max_size=3)


def _one(**fields: Draw) -> Draw:
    """An object with exactly one of these fields."""
    return st.one_of([st.fixed_dictionaries({name: value}) for name, value in fields.items()])


SUBJECTS = _one(namespaces=SELECTORS, pods=PODS_OF)
PORT = st.integers(1, 65535)
SPANS = st.tuples(PORT, PORT).map(sorted).map(lambda pair: {"start": pair[0], "end": pair[1]})
PORT_NAME = st.sampled_from(["web", "dns-tcp"])
TRANSPORT = st.fixed_dictionaries({"destinationPort": _one(number=PORT, range=SPANS)})
NUMBERED = {"tcp": TRANSPORT, "udp": TRANSPORT, "sctp": TRANSPORT}
PROTOCOL = st.fixed_dictionaries({}, optional={"protocol": st.sampled_from(["", "TCP", "UDP", "SCTP"])})
PORT_NUMBERS = st.builds(lambda port, protocol: {"port": port, **protocol}, PORT, PROTOCOL)
PORT_RANGES = st.builds(lambda span, protocol: {**span, **protocol}, SPANS, PROTOCOL)


def _rules(field: str, peers: Draw, actions: list[str], ports: dict[str, Draw]) -> Draw:
    always = {"action": st.sampled_from(actions), field: st.lists(peers, min_size=1, max_size=3)}
    return st.lists(st.fixed_dictionaries(always, optional={"name": st.text(max_size=100), **ports}), max_size=3)


def _directions(actions: list[str], pods: Draw, outside: dict[str, Draw], ports: dict[str, Draw]) -> dict[str, Draw]:
    """Rules with names of ports have pods as peers only."""
    named, numbered = ports["named"], ports["numbered"]
    field = "protocols" if "tcp" in str(numbered) else "ports"
    both = {field: st.lists(st.one_of(named, numbered), min_size=1, max_size=3)}
    numbers = {field: st.lists(numbered, min_size=1, max_size=3)}
    return {
        "ingress": _rules("from", pods, actions, both),
        "egress": st.one_of(
            _rules("to", pods, actions, both), _rules("to", st.one_of(pods, _one(**outside)), actions, numbers)
        ),
    }


def _documents(version: str, kind: str, name: Draw, always: dict[str, Draw], optional: dict[str, Draw]) -> Draw:
    return st.fixed_dictionaries(
        {
            "apiVersion": st.just(f"policy.networking.k8s.io/{version}"),
            "kind": st.just(kind),
            "metadata": st.fixed_dictionaries({"name": name}),
            "spec": st.fixed_dictionaries({"subject": SUBJECTS, **always}, optional=optional),
        }
    )


PRIORITY = st.integers(0, 1000)
NEW_PORTS = {"named": _one(destinationNamedPort=PORT_NAME), "numbered": _one(**NUMBERED)}
OLD_PORTS = {"named": _one(namedPort=PORT_NAME), "numbered": _one(portNumber=PORT_NUMBERS, portRange=PORT_RANGES)}
OLD_PEERS = _one(
    namespaces=st.one_of(SELECTORS, st.fixed_dictionaries({"namespaceSelector": SELECTORS})),
    pods=st.one_of(PODS_OF, PODS_OF_OLD),
)
OUTSIDE = {"networks": NETWORKS, "nodes": SELECTORS, "domainNames": st.just(["example.com"])}
DOCUMENTS = st.one_of(
    _documents(
        "v1alpha2",
        "ClusterNetworkPolicy",
        NAMES,
        {"tier": st.sampled_from(["Admin", "Baseline"]), "priority": PRIORITY},
        _directions(["Accept", "Deny", "Pass"], _one(namespaces=SELECTORS, pods=PODS_OF), OUTSIDE, NEW_PORTS),
    ),
    _documents(
        "v1alpha1",
        "AdminNetworkPolicy",
        NAMES,
        {"priority": PRIORITY},
        _directions(["Allow", "Deny", "Pass"], OLD_PEERS, OUTSIDE, OLD_PORTS),
    ),
    _documents(
        "v1alpha1",
        "BaselineAdminNetworkPolicy",
        st.just("default"),
        {},
        _directions(["Allow", "Deny"], OLD_PEERS, {"networks": NETWORKS, "nodes": SELECTORS}, OLD_PORTS),
    ),
)


def _policy(document: dict[str, Any]) -> GlobalNetworkPolicy:
    resource = convert(document).resource
    assert isinstance(resource, GlobalNetworkPolicy)
    return resource


@given(DOCUMENTS)
def test_whatever_the_api_takes_becomes_a_valid_policy(document: dict[str, Any]) -> None:
    policy = with_defaults(_policy(document))
    assert problems(policy, selector_problem) == []
    assert decode(policy.kind, encode(policy)) == policy


@given(DOCUMENTS)
def test_subject_and_peers_are_pods_nodes_or_networks_and_nothing_wider(document: dict[str, Any]) -> None:
    spec = _policy(document).spec
    assert spec.selector.startswith(PODS)
    assert spec.namespace_selector
    for rule, peer in [(rule, rule.source) for rule in spec.ingress] + [
        (rule, rule.destination) for rule in spec.egress
    ]:
        if not _denies_everything(rule):
            pods = peer.selector.startswith(PODS) and bool(peer.namespace_selector)
            nodes = peer.selector.startswith(NODES) and not peer.namespace_selector
            assert [bool(peer.nets), pods, nodes].count(True) == 1


@given(DOCUMENTS)
def test_each_rule_is_carried_out_or_lets_nothing_through_and_is_told(document: dict[str, Any]) -> None:
    converted = convert(document)
    policy = _policy(document)
    warned = set()
    for direction, field in (("ingress", "from"), ("egress", "to")):
        expected: list[str] = []
        for index, rule in enumerate(document["spec"].get(direction, ())):
            outside = [peer for peer in rule[field] if "domainNames" in peer]
            if outside:
                warned |= {f"spec.{direction}[{index}]"}
            if not outside:
                expected += [{"Accept": "Allow"}.get(rule["action"], rule["action"])]
            elif rule["action"] not in ("Accept", "Allow"):
                expected += ["deny all"]
        found = ["deny all" if _denies_everything(rule) else rule.action for rule in getattr(policy.spec, direction)]
        assert _without_repetition(found) == _without_repetition(expected)
    assert all(any(f"the whole rule {place} " in str(warning) for warning in converted.warnings) for place in warned)
    assert len(converted.warnings) >= len(warned)


def _denies_everything(rule: Rule) -> bool:
    return rule.action == "Deny" and rule.source == rule.destination == EntityRule() and rule.protocol is None


def _without_repetition(actions: list[str]) -> list[str]:
    """One rule becomes several of the same action, side by side."""
    return [action for index, action in enumerate(actions) if not index or action != actions[index - 1]]


FIELDS = (
    st.sampled_from(
        (
            "tier",
            "priority",
            "subject",
            "ingress",
            "egress",
            "from",
            "to",
            "action",
            "name",
            "namespaces",
            "pods",
            "nodes",
        )
    )
    | st.sampled_from(
        (
            "networks",
            "protocols",
            "ports",
            "tcp",
            "destinationPort",
            "number",
            "range",
            "start",
            "end",
            "destinationNamedPort",
        )
    )
    | st.sampled_from(
        (
            "portNumber",
            "portRange",
            "namedPort",
            "podSelector",
            "namespaceSelector",
            "matchLabels",
            "sameLabels",
            "values",
        )
    )
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 70000),
    st.floats(),
    st.integers(),
    st.text(max_size=4),
    st.sampled_from(["Admin", "Accept", "Deny", "In", "10.0.0.0/8", "web", "TCP", "x' || has(y"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS | st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


def _mutated(document: dict[str, Any], draw: Callable[[Draw], Any]) -> Any:
    """The document with one part of it, wherever it is, made something else."""
    copy = {**document} if isinstance(document, dict) else [*document]
    places = list(copy) if isinstance(copy, dict) else list(range(len(copy)))
    if not places:
        return draw(JSON)
    place = draw(st.sampled_from(places))
    inner = copy[place]
    deeper = isinstance(inner, dict | list) and draw(st.booleans())
    copy[place] = _mutated(inner, draw) if deeper else draw(JSON)
    return copy


@given(DOCUMENTS, st.data())
def test_any_document_is_converted_to_a_valid_policy_or_refused_with_a_place(
    document: dict[str, Any], data: st.DataObject
) -> None:
    spec = data.draw(st.one_of(JSON, st.dictionaries(FIELDS, JSON, max_size=5)) | st.just(None))
    changed = _mutated(document["spec"], data.draw) if spec is None else spec
    try:
        policy = _policy(document | {"spec": changed})
    except InvalidResource as refused:
        assert refused.problems
        assert all(problem.path and problem.problem for problem in refused.problems)
    else:
        assert problems(with_defaults(policy), selector_problem) == []


@pytest.mark.parametrize("metadata", [None, {}, {"name": None}, {"name": ""}, {"name": 1}, [], "web"])
def test_a_policy_without_a_name_is_refused(metadata: Any) -> None:
    document = {"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": metadata}
    with pytest.raises(InvalidResource, match="metadata"):
        convert(document)


SHORTHANDS = ("all()", "global()", "has(a)", "!a", "*", "a == 'b'", "projectcalico.org/name == 'web'")
"""What the selector language, and other implementations, take where Kubernetes has names of labels only."""

PLACES = {
    "namespaces": lambda labels: {"namespaces": labels},
    "pods": lambda labels: {"pods": {"podSelector": labels, "namespaceSelector": {}}},
    "namespaces of pods": lambda labels: {"pods": {"podSelector": {}, "namespaceSelector": labels}},
    "nodes": lambda labels: {"nodes": labels},
}
"""Where a policy says whom it means by labels."""


def _probe(place: str, labels: Any, version: str) -> dict[str, Any]:
    """A policy that asks for labels in one place, as its subject where subjects can be that."""
    kind, always = {
        "v1alpha2": ("ClusterNetworkPolicy", {"tier": "Admin", "priority": 1}),
        "v1alpha1": ("AdminNetworkPolicy", {"priority": 1}),
    }[version]
    chosen, everyone = PLACES[place](labels), {"namespaces": {}}
    rules = [{"action": "Deny", "to": [chosen]}]
    spec = {"subject": everyone if place == "nodes" else chosen, "egress": rules, **always}
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": spec,
    }


@pytest.mark.parametrize("version", ["v1alpha2", "v1alpha1"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shorthand", SHORTHANDS)
def test_shorthands_of_selectors_are_refused_where_names_of_labels_stand(
    shorthand: str, place: str, version: str
) -> None:
    for labels in (
        {"matchLabels": {shorthand: ""}},
        {"matchExpressions": [{"key": shorthand, "operator": "Exists"}]},
        {"matchLabels": {"a": shorthand}},
        {"matchExpressions": [{"key": "a", "operator": "In", "values": [shorthand]}]},
        shorthand,
    ):
        with pytest.raises(InvalidResource) as refused:
            convert(_probe(place, labels, version))
        places = {problem.path.split("[")[0].split(".")[1] for problem in refused.value.problems}
        assert places == ({"egress"} if place == "nodes" else {"subject", "egress"})
        assert shorthand in str(refused.value) or not isinstance(labels, dict)


def test_what_the_probe_says_with_plain_labels_is_a_policy() -> None:
    for place in PLACES:
        for version in ("v1alpha2", "v1alpha1"):
            assert _policy(_probe(place, {"matchLabels": {"a": "b"}}, version)).spec.egress
