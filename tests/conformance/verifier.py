"""Questions about sets of policies: are they equivalent, does one contain the other, what do they capture.

Loaded by path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import drawnup

from tortie.analysis.cluster import compile_cluster
from tortie.analysis.packets import Field, PacketSet, Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.relations import contains, granted, interference, is_equivalent, refused, ungoverned
from tortie.analysis.universe import groups
from tortie.api.resource import Resource
from tortie.desired.policy import Direction, PolicyId
from tortie.selector.parser import parse

Case = Mapping[str, Any]
Document = Mapping[str, Any]

NAMES_ASKED: dict[int, frozenset[str]] = {}
"""What the policies of the document that was last asked of say of names of namespaces; it is large."""


class Asked:
    """A case, and the clusters that its arguments describe."""

    def __init__(self, case: Case, document: Document) -> None:
        self._case = case
        self._topology = document["topologies"][case["topology"]]
        self._configs = document["configs"]
        self._names = _names(document)
        self._space = Space()
        self._made: dict[str, Reachability] = {}

    def documents(self, argument: str) -> list[Document]:
        """The policies that an argument names, and all profiles: those say what ends without policies do."""
        name, *rest = argument.split("/")
        policies: list[Document] = self._configs[self._case["configs"][name]]["policies"]
        return [one for one in policies if not rest or one["kind"] == "Profile" or is_called(one, rest)]

    def reach(self, argument: str) -> Reachability:
        """Who reaches whom under the policies that an argument names."""
        if argument not in self._made:
            self._made[argument] = self.under(self.documents(argument), self.others(argument))
        return self._made[argument]

    def workloads(self, argument: str) -> Mapping[str, str]:
        """The workload of each end, by the end's name."""
        return _registry(self.others(argument) or self._topology, self._names)[0].workloads

    def others(self, argument: str) -> Sequence[Document] | None:
        """What an argument has in the place of the case's cluster."""
        others: Sequence[Document] | None = self._configs[self._case["configs"][argument.split("/")[0]]].get(
            "resources"
        )
        return others

    def _written(self) -> list[Document]:
        """All policies of the case."""
        named = self._case["configs"].values()
        return [one for config in named for one in self._configs[config]["policies"] if one["kind"] != "Profile"]

    def without_policies(self, argument: str) -> Reachability:
        """Who reaches whom if only its profiles were there."""
        return self.under([one for one in self.documents(argument) if one["kind"] == "Profile"])

    def under(self, documents: Sequence[Document], others: Sequence[Document] | None = None) -> Reachability:
        """Who reaches whom under these policies, in the case's cluster or in another."""
        registry, sets = _registry(self._topology if others is None else others, self._names)
        if not registry.workloads:
            registry.represent(drawnup.resource(one) for one in self._written())
        found = registry.all([*sets, *(drawnup.resource(one) for one in documents)])
        return Reachability(self._space, compile_cluster(found), with_true_ports(self._space))


def with_true_ports(space: Space) -> PacketSet:
    """All packets but those with a port 0, which is none to these files."""
    zero = [(0, 0)]
    return ~(space.ports(Field.SOURCE_PORT, zero) | space.ports(Field.DESTINATION_PORT, zero))


def _names(document: Document) -> frozenset[str]:
    key = id(document)
    if key not in NAMES_ASKED:
        NAMES_ASKED.clear()
        NAMES_ASKED[key] = drawnup.asked_names(document["configs"])
    return NAMES_ASKED[key]


def _registry(topology: Sequence[Document], names: frozenset[str]) -> tuple[drawnup.Registry, list[Resource]]:
    """Ends, and everything else that a cluster has."""
    registry = drawnup.Registry(names)
    sets = []
    for pod in drawnup.alive([one for one in topology if one["kind"] == "Pod"]):
        registry.pod(pod, pod["owner"] or pod["name"])
    for one in topology:
        kind = one["kind"]
        if kind == "Namespace":
            registry.namespace(one["name"], one["labels"])
        elif kind == "Workload":
            for pod in drawnup.pods_of(one["of"]):
                registry.pod(pod, pod["name"])
        elif kind in ("WorkloadEndpoint", "HostEndpoint"):
            registry.endpoint(one)
        elif kind != "Pod":
            sets.append(drawnup.resource(one))
    return registry, sets


def is_called(policy: Document, words: Sequence[str]) -> bool:
    """Whether it is meant by `POLICY`, `NAMESPACE/POLICY` or `KIND/NAMESPACE/POLICY`."""
    metadata = policy["metadata"]
    namespace = metadata.get("namespace") or ""
    if metadata["name"] != words[-1]:
        return False
    if len(words) == 1:
        return True
    default = namespace or drawnup.DEFAULT_NAMESPACE
    return words[-2] in (namespace, default) or words[0] == policy["kind"]


def later(asked: Asked, arguments: Sequence[str], holds: Callable[[Reachability, Reachability], bool]) -> int:
    """For how many of the later arguments something holds between the first and them."""
    first = asked.reach(arguments[0])
    return sum(holds(first, asked.reach(other)) for other in arguments[1:])


def _some(found: Iterator[object]) -> bool:
    return next(found, None) is not None


def equivalence(asked: Asked, arguments: Sequence[str]) -> int:
    """Pairs that differ."""
    return sum(not is_equivalent(asked.reach(left), asked.reach(right)) for left, right in combinations(arguments, 2))


def containment(asked: Asked, arguments: Sequence[str]) -> int:
    """Later ones that the first contains."""
    return later(asked, arguments, contains)


def two_way_containment(asked: Asked, arguments: Sequence[str]) -> int:
    """1 when the first contains the second, 2 when it is contained, 3 when both, 0 when neither."""
    left, right = (asked.reach(one) for one in arguments)
    return contains(left, right) + 2 * contains(right, left)


def vacuity(asked: Asked, arguments: Sequence[str]) -> int:
    """Those that change nothing."""
    return sum(is_equivalent(asked.reach(one), asked.without_policies(one)) for one in arguments)


def forbids(asked: Asked, arguments: Sequence[str]) -> int:
    """Later ones of whose explicitly allowed packets the first lets some through."""
    return later(asked, arguments, lambda law, spec: _some(granted(law, spec)))


def permits(asked: Asked, arguments: Sequence[str]) -> int:
    """Later ones of whose explicitly allowed packets the first denies some."""
    return later(asked, arguments, lambda law, spec: _some(refused(law, spec)))


def interferes(asked: Asked, arguments: Sequence[str]) -> int:
    """Later ones that let more through of what the first governs."""
    return later(asked, arguments, lambda left, right: _some(interference(left, right)))


def pairwise_interferes(asked: Asked, arguments: Sequence[str]) -> int:
    """Pairs, each in both orders, of which the second lets more through of what the first governs."""
    return sum(
        _some(interference(asked.reach(left), asked.reach(right)))
        for left in arguments
        for right in arguments
        if left != right
    )


def strong_equivalence(asked: Asked, arguments: Sequence[str]) -> int:
    """Pairs that have not the same policies by name, each equivalent to its namesake."""
    return sum(not _strongly(asked, left, right) for left, right in combinations(arguments, 2))


def _strongly(asked: Asked, left: str, right: str) -> bool:
    ours, theirs = ({_identity(one): one for one in asked.documents(each)} for each in (left, right))
    return ours.keys() == theirs.keys() and all(
        is_equivalent(asked.under([ours[name]]), asked.under([theirs[name]])) for name in ours
    )


def _identity(policy: Document) -> tuple[str, str, str]:
    return policy["kind"], policy["metadata"].get("namespace") or "", policy["metadata"]["name"]


def disjointness(asked: Asked, arguments: Sequence[str]) -> int:
    """Pairs of policies of one argument that capture a common end."""
    return sum(
        not left.isdisjoint(right)
        for one in arguments
        for left, right in combinations(_captured(asked.reach(one)).values(), 2)
    )


def _captured(reach: Reachability) -> dict[PolicyId, set[Any]]:
    found: dict[PolicyId, set[Any]] = {}
    for key, end in reach.cluster.ends.items():
        for way in Direction:
            for tier in end.governing(way).tiers:
                for policy in tier.policies:
                    found.setdefault(policy, set()).add(key)
    return found


def all_captured(asked: Asked, arguments: Sequence[str]) -> int:
    """Workloads that no policy governs, counted for each direction; single ends when there is no policy at all."""
    return sum(_left_alone(asked.reach(one), asked.workloads(one)) for one in arguments)


def _left_alone(reach: Reachability, workloads: Mapping[str, str]) -> int:
    ends = [(group, reach.cluster.ends[key].name) for group in groups([reach]) for key in group.ends]
    found = [(way, name) for group, name in ends for way in ungoverned(reach, group)]
    if len(found) == 2 * len(ends):
        return len(ends)
    return len({(way, name.partition("/")[0], workloads[name]) for way, name in found})


ANSWERS: dict[str, Callable[[Asked, Sequence[str]], int]] = {
    "equivalence": equivalence,
    "strongEquivalence": strong_equivalence,
    "containment": containment,
    "twoWayContainment": two_way_containment,
    "vacuity": vacuity,
    "forbids": forbids,
    "permits": permits,
    "interferes": interferes,
    "pairwiseInterferes": pairwise_interferes,
    "disjointness": disjointness,
    "allCaptured": all_captured,
}


MESH = "istio"


def unsupported(case: Case, document: Document) -> str:
    """Why a case cannot be judged, or nothing."""
    if case["query"] not in ANSWERS:
        return f"{case['query']}: what one tool counts"
    if any(MESH in one for one in case["configs"]):
        return "policies of a service mesh, which the file does not hold"
    sets = [one for one in document["topologies"][case["topology"]] if one["kind"] == "GlobalNetworkSet"]
    if sets and not all(_selects_any(selector, sets) for selector in _of_sets(_policies(case, document))):
        return "policies select network sets that the case does not hold"
    return ""


def _policies(case: Case, document: Document) -> list[Document]:
    return [one for config in case["configs"].values() for one in document["configs"][config]["policies"]]


def _of_sets(value: Any) -> Iterator[str]:
    """Selectors of what is in no namespace."""
    if isinstance(value, Mapping):
        if value.get("namespaceSelector") == "global()":
            yield value.get("selector", "all()")
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _of_sets(inner)


def _selects_any(selector: str, sets: Sequence[Document]) -> bool:
    parsed = parse(selector)
    return any(parsed.matches(one["metadata"].get("labels") or {}) for one in sets)


def run_case(case: Case, document: Document) -> list[str]:
    """What differs from the expectation. Raises KeyError for a query that nobody answers here."""
    found = ANSWERS[case["query"]](Asked(case, document), case["arguments"])
    return [] if found == case["expect"] else [f"{case['query']}: expected {case['expect']}, found {found}"]
