"""Whole clusters, as an agent meets them when it starts: their resources, and what its node's sets must hold."""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Callable, Iterable, Iterator

import msgspec

from workloads.stored import HERE, Stored, endpoint, packed, profile, stored

MARKERS = [f"marker-{number % 29:02}" for number in range(31)]
"""Labels of which each endpoint has one; 29 names, so two of them come twice."""

SET_SIZES = (1, 1, 1, 1, 2, 3, 4, 5, 100, 1000)


class Snapshot(msgspec.Struct):
    """A cluster.

    Args:
        groups: its resources, in the order in which they come.
        local: keys of the endpoints of this node are those of this group.
        sets: what the IP sets must hold, one digest each, when that is known beforehand.
    """

    groups: list[Callable[[], Iterator[Stored]]]
    local: Callable[[], Iterator[Stored]]
    sets: Callable[[], list[str]]


def tag_policies(remote: int = 250_000, local: int = 200, policies: int = 10_000) -> Snapshot:
    """Endpoints of 100 namespaces, each with one of 31 marker labels by which policies know them."""

    def endpoints(numbers: Iterable[int], node: str) -> Iterator[Stored]:
        for number in numbers:
            labels = {f"one-in-{k}": f"value-{number % k}" for k in (10, 11, 20, 30, 40)}
            labels[MARKERS[number % 31]] = "true"
            yield endpoint(number, node, f"namespace-{number % 100}", labels)

    def rules() -> Iterator[Stored]:
        for number in range(policies):
            sources = [MARKERS[(number + other) % 31] for other in range(1, 6)]
            yield allowing(f"policy-{number:05}", f"has({MARKERS[number % 31]})", [f"has({one})" for one in sources])

    def sets() -> list[str]:
        return [
            digest(packed(n for n in range(remote + local) if MARKERS[n % 31] == name)) for name in sorted(set(MARKERS))
        ]

    return Snapshot(
        [
            rules,
            lambda: (profile(f"namespace-{number}") for number in range(100)),
            lambda: endpoints(range(remote), "node-elsewhere"),
        ],
        lambda: endpoints(range(remote, remote + local), HERE),
        sets,
    )


def network_sets(policies: int, remote: int = 10_000, local: int = 200) -> Snapshot:
    """A policy for each of as many network sets, all of them on every endpoint of this node."""

    def nets() -> Iterator[Stored]:
        first = 0
        for number in range(policies):
            size = SET_SIZES[number % len(SET_SIZES)]
            spec = {
                "nets": [
                    f"{11 + (n >> 24)}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(first, first + size)
                ]
            }
            yield stored("GlobalNetworkSet", f"set-{number}", spec, labels={"network-set-name": f"name-{number}"})
            first += size

    def sets() -> list[str]:
        found, first = [], 0
        for number in range(policies):
            size = SET_SIZES[number % len(SET_SIZES)]
            found.append(digest(b"".join(((11 << 24) + n).to_bytes(4, "big") for n in range(first, first + size))))
            first += size
        return found

    return Snapshot(
        [
            lambda: (
                allowing(f"policy-{number:05}", "all()", [f"network-set-name == 'name-{number}'"])
                for number in range(policies)
            ),
            nets,
            lambda: (profile(f"namespace-{number}") for number in range(100)),
            lambda: (endpoint(n, "node-elsewhere", f"namespace-{n % 100}", {}) for n in range(remote)),
        ],
        lambda: (endpoint(n, HERE, f"namespace-{n % 100}", {}) for n in range(remote, remote + local)),
        sets,
    )


def customers(count: int, local: int = 100, seed: int = 1) -> Snapshot:
    """Namespaces of one pod, each open to itself and closed to the others, with labels as platforms give them."""

    def namespaces() -> Iterator[Stored]:
        for number in range(count):
            labels = {"pcns.id": f"customer-{number:011}", "pcns.production": "true" if number % 2 else "false"}
            yield profile(name(number), labels)

    def policies() -> Iterator[Stored]:
        for number in range(count):
            spec = {
                "selector": "all()",
                "types": ["Ingress", "Egress"],
                "ingress": [
                    {"action": "Allow", "source": {"namespaceSelector": f"projectcalico.org/name == '{name(number)}'"}}
                ],
                "egress": [
                    {"action": "Allow", "protocol": "UDP", "destination": {"nets": ["10.96.0.10/32"], "ports": [53]}}
                ],
            }
            yield stored("NetworkPolicy", "default.isolated", spec, name(number))

    def pods(numbers: range, node: str) -> Iterator[Stored]:
        chance = random.Random(seed)
        for number in numbers:
            yield endpoint(number, node, name(number), _labels(number, chance))

    def name(number: int) -> str:
        return f"customer-{number}"

    return Snapshot(
        [namespaces, policies, lambda: pods(range(local, count), "node-elsewhere")],
        lambda: pods(range(local), HERE),
        lambda: [digest(packed([number])) for number in range(local)],
    )


def _labels(number: int, chance: random.Random) -> dict[str, str]:
    def text(length: int) -> str:
        return "".join(chance.choices(string.ascii_lowercase, k=length))

    unique = {f"unique-{place}": text(length) for place, length in enumerate((20, 20, 10, 20, 8))}
    binary = {f"binary-{place}": chance.choice(("true", "false")) for place in range(4)}
    few = {
        "environment": chance.choice(("production", "staging", "test", "development")),
        "tier": chance.choice(("front", "middle", "back")),
        "region": chance.choice(("north", "south", "east", "west")),
        "team": f"team-{chance.randrange(20)}",
    }
    return {**unique, **binary, **few, "constant": "yes", "release": f"r{chance.randrange(5000)}"}


def whole_cluster(namespaces: int = 25_000) -> Snapshot:
    """Four pods and three policies a namespace, all of them of interest: nothing is another node's."""

    def policies() -> Iterator[Stored]:
        for number in range(namespaces):
            yield isolated(number, "default-deny", "all()", None)
            yield isolated(number, "app-1", "app == '1'", "app == '1'")
            yield isolated(number, "app-2", "app == '2'", "app == '2'")

    def isolated(number: int, name: str, selector: str, source: str | None) -> Stored:
        ingress = [{"action": "Allow", "source": {"selector": source}}] if source else []
        spec = {"selector": selector, "types": ["Ingress"], "ingress": ingress}
        return stored("NetworkPolicy", f"default.{name}", spec, f"namespace-{number}")

    def pods() -> Iterator[Stored]:
        for number in range(4 * namespaces):
            yield endpoint(number, HERE, f"namespace-{number // 4}", {"app": str(number % 2 + 1)})

    return Snapshot(
        [lambda: (profile(f"namespace-{number}") for number in range(namespaces)), policies],
        pods,
        lambda: [
            digest(packed(4 * number + pod for pod in pair))
            for number in range(namespaces)
            for pair in ((0, 2), (1, 3))
        ],
    )


def allowing(name: str, selector: str, sources: list[str]) -> Stored:
    """A global policy that allows TCP from some."""
    rules = [{"action": "Allow", "protocol": "TCP", "source": {"selector": one}} for one in sources]
    return stored(
        "GlobalNetworkPolicy", f"default.{name}", {"selector": selector, "types": ["Ingress"], "ingress": rules}
    )


def digest(members: bytes) -> str:
    """What stands for the members of a set."""
    return hashlib.sha256(members).hexdigest()
