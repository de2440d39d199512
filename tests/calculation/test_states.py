"""Named contents with the whole desired state they give, reached along every kind of path.

The desired state depends on the current contents only. So each sequence of states is gone through
as it is, backwards, with the resources of a state in reverse or shuffled, one resource at a time,
twice over, with nothing in between, and in one leap to its end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import pytest

from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.profile import Profile, ProfileSpec
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.rules import EntityRule, Rule
from tortie.api.tier import Tier, TierSpec, TierStatus
from tortie.api.workloadendpoint import EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec

Contents = dict[ResourceKey, Resource]


class Expected(msgspec.Struct):
    """The whole desired state, in words.

    Args:
        sets: what they hold, by `selector`, or `selector protocol:port` for a port name.
        rules: number of compiled rules, ingress and egress, by policy.
        endpoints: `tier: policies; ... | profiles` of ingress and egress, by name.
        routes: interface by address.
    """

    sets: dict[str, set[str]] = {}
    rules: dict[str, tuple[int, int]] = {}
    endpoints: dict[str, tuple[str, str]] = {}
    routes: dict[str, str] = {}


class State(msgspec.Struct):
    """Contents of the datastore and what follows from them."""

    name: str
    contents: Contents
    expected: Expected


def state(name: str, *resources: Resource, **expected: dict[str, object]) -> State:
    return State(name, {resource.key: resource for resource in resources}, msgspec.convert(expected, Expected))


def endpoint(name: str, *addresses: str, profiles: tuple[str, ...] = (), node: str = "here", **labels: str) -> Resource:
    spec = WorkloadEndpointSpec(
        node=node,
        interface_name=f"cali{name}",
        ip_networks=addresses,
        profiles=profiles,
        ports=(EndpointPort(name="http", protocol="TCP", port=8080), EndpointPort(name="dns", protocol="UDP", port=53)),
    )
    return WorkloadEndpoint(metadata=Metadata(name=name, namespace="shop", labels=labels), spec=spec)


def global_policy(name: str, **spec: object) -> Resource:
    return GlobalNetworkPolicy(metadata=Metadata(name=name), spec=GlobalNetworkPolicySpec(**spec))  # type: ignore[arg-type]


def allow_from(selector: str, **fields: object) -> Rule:
    return Rule(action="Allow", source=EntityRule(selector=selector), **fields)  # type: ignore[arg-type]


EP1 = endpoint("ep1", "10.0.0.1/32", "10.0.0.2/32", "fd00::1/128", profiles=("prof-1", "prof-gone"), a="a", b="b")
EP2 = endpoint("ep2", "10.0.0.2/32", "10.0.0.3/32", profiles=("prof-2",), a="a", b="b2")
REMOTE = endpoint("far", "10.0.9.1/32", node="there", b="b")
PROFILE_1 = Profile(
    metadata=Metadata(name="prof-1"),
    spec=ProfileSpec(ingress=(Rule(action="Allow"),), labels_to_apply={"profile": "one", "a": "inherited"}),
)
PROFILE_2 = Profile(metadata=Metadata(name="prof-2"), spec=ProfileSpec(labels_to_apply={"profile": "two"}))
POLICY = global_policy(
    "pol", order=20.0, selector="a == 'a'", ingress=(allow_from("all()"),), egress=(allow_from("b == 'b'"),)
)
NAMED = global_policy(
    "named",
    selector="profile == 'one'",
    types=("Egress",),
    egress=(Rule(action="Allow", protocol="TCP", destination=EntityRule(selector="has(a)", ports=("http",))),),
)
LOCAL = NetworkPolicy(
    metadata=Metadata(name="local", namespace="shop"),
    spec=NetworkPolicySpec(order=10.0, types=("Ingress",), ingress=(allow_from("b == 'b'", protocol="TCP"),)),
)
NETS = GlobalNetworkSet(
    metadata=Metadata(name="nets", labels={"b": "b"}), spec=NetworkSetSpec(nets=("192.0.2.0/24", "10.0.0.1"))
)
TIER = Tier(metadata=Metadata(name="first"), spec=TierSpec(order=1.0, default_action="Pass"), status=TierStatus())
TIERED = global_policy("tiered", tier="first", selector="has(b)", types=("Ingress",), ingress=(Rule(action="Pass"),))

EP1_ROUTES = {"10.0.0.1/32": "caliep1", "10.0.0.2/32": "caliep1", "fd00::1/128": "caliep1"}
EP1_HOSTS = {"10.0.0.1", "10.0.0.2", "fd00::1"}
EP1_PROFILES = {"Profile prof-1": (0, 0), "Profile prof-gone": (0, 0)}
ONLY_POLICY = ("default: pol | prof-1 prof-gone",) * 2

EMPTY = state("empty")
ONE = state(
    "one endpoint, one policy",
    EP1,
    POLICY,
    sets={"all()": EP1_HOSTS, 'b == "b"': EP1_HOSTS},
    rules={"GlobalNetworkPolicy pol": (1, 1), **EP1_PROFILES},
    endpoints={"ep1": ONLY_POLICY},
    routes=EP1_ROUTES,
)
TWO = state(
    "two endpoints that share an address",
    EP1,
    EP2,
    POLICY,
    sets={"all()": EP1_HOSTS | {"10.0.0.3"}, 'b == "b"': EP1_HOSTS},
    rules={"GlobalNetworkPolicy pol": (1, 1), "Profile prof-2": (0, 0), **EP1_PROFILES},
    endpoints={"ep1": ONLY_POLICY, "ep2": ("default: pol | prof-2",) * 2},
    routes=EP1_ROUTES | {"10.0.0.3/32": "caliep2"},
)
SECOND = state(
    "only the second of the two",
    EP2,
    POLICY,
    sets={"all()": {"10.0.0.2", "10.0.0.3"}, 'b == "b"': set()},
    rules={"GlobalNetworkPolicy pol": (1, 1), "Profile prof-2": (0, 0)},
    endpoints={"ep2": ("default: pol | prof-2",) * 2},
    routes={"10.0.0.2/32": "caliep2", "10.0.0.3/32": "caliep2"},
)
WITH_REMOTE = state(
    "members that are elsewhere",
    EP1,
    REMOTE,
    NETS,
    POLICY,
    sets={
        "all()": EP1_HOSTS | {"10.0.9.1", "192.0.2.0/24"},
        'b == "b"': EP1_HOSTS | {"10.0.9.1", "192.0.2.0/24"},
    },
    rules={"GlobalNetworkPolicy pol": (1, 1), **EP1_PROFILES},
    endpoints={"ep1": ONLY_POLICY},
    routes=EP1_ROUTES,
)
INHERITED = state(
    "a policy that selects by an inherited label, with a port name",
    EP1,
    EP2,
    PROFILE_1,
    PROFILE_2,
    NAMED,
    sets={"has(a) 6:http": {f"{host},6:8080" for host in (*EP1_HOSTS, "10.0.0.3")}},
    rules={
        "GlobalNetworkPolicy named": (0, 1),
        "Profile prof-1": (1, 0),
        "Profile prof-gone": (0, 0),
        "Profile prof-2": (0, 0),
    },
    endpoints={
        "ep1": (" | prof-1 prof-gone", "default: named | prof-1 prof-gone"),
        "ep2": (" | prof-2", " | prof-2"),
    },
    routes=EP1_ROUTES | {"10.0.0.3/32": "caliep2"},
)
TIERS = state(
    "two tiers and policies of two kinds",
    EP1,
    POLICY,
    LOCAL,
    TIER,
    TIERED,
    sets={
        "all()": EP1_HOSTS,
        'b == "b"': EP1_HOSTS,
        '(projectcalico.org/namespace == "shop" && b == "b")': EP1_HOSTS,
    },
    rules={
        "GlobalNetworkPolicy pol": (1, 1),
        "GlobalNetworkPolicy tiered": (1, 0),
        "NetworkPolicy shop/local": (1, 0),
        **EP1_PROFILES,
    },
    endpoints={"ep1": ("first: tiered; default: local pol | prof-1 prof-gone", "default: pol | prof-1 prof-gone")},
    routes=EP1_ROUTES,
)
UNKNOWN_TIER = state(
    "a policy of a tier that does not exist",
    EP1,
    POLICY,
    TIERED,
    sets={"all()": EP1_HOSTS, 'b == "b"': EP1_HOSTS},
    rules={"GlobalNetworkPolicy pol": (1, 1), "GlobalNetworkPolicy tiered": (1, 0), **EP1_PROFILES},
    endpoints={"ep1": ("default: pol; first: tiered | prof-1 prof-gone", "default: pol | prof-1 prof-gone")},
    routes=EP1_ROUTES,
)

SEQUENCES = [
    [ONE, TWO, SECOND],
    [ONE, WITH_REMOTE, TWO, EMPTY, SECOND],
    [TWO, INHERITED, WITH_REMOTE, INHERITED, ONE],
    [TIERS, UNKNOWN_TIER, ONE, TIERS],
    [EMPTY, INHERITED, TIERS, SECOND, WITH_REMOTE, UNKNOWN_TIER, TWO],
]

Update = tuple[ResourceKey, Resource | None]
Path = Iterator[tuple[list[list[Update]], Expected]]
"""Groups of updates, each ended by a flush, and what holds after the last of them."""


def updates(before: Contents, after: Contents) -> list[Update]:
    gone: list[Update] = [(key, None) for key in before if key not in after]
    return [*((key, resource) for key, resource in after.items() if before.get(key) != resource), *gone]


def steps(states: Sequence[State], change: Callable[[list[Update]], list[list[Update]]]) -> Path:
    contents: Contents = {}
    for each in states:
        yield change(updates(contents, each.contents)), each.expected
        contents = each.contents


def shuffled(group: list[Update]) -> list[list[Update]]:
    order = random.Random(len(group)).sample(range(len(group)), len(group))
    return [[group[position] for position in order]]


def squashed(states: Sequence[State]) -> Path:
    groups, expected = zip(*steps(states, lambda group: [group]), strict=True)
    yield [[update for (group,) in groups for update in group]], expected[-1]


EXPANDERS: dict[str, Callable[[Sequence[State]], Path]] = {
    "as it is": lambda states: steps(states, lambda group: [group]),
    "states reversed": lambda states: steps(states[::-1], lambda group: [group]),
    "resources reversed": lambda states: steps(states, lambda group: [group[::-1]]),
    "resources shuffled": lambda states: steps(states, shuffled),
    "one at a time": lambda states: steps(states, lambda group: [[update] for update in group]),
    "one at a time, reversed": lambda states: steps(states, lambda group: [[update] for update in group[::-1]]),
    "every update twice": lambda states: steps(states, lambda group: [group + group]),
    "every update twice, with a flush between": lambda states: steps(states, lambda group: [group, group]),
    "removed and put back": lambda states: steps(states, lambda group: [[(key, None) for key, _ in group] + group]),
    "nothing in between": lambda states: steps([each for one in states for each in (one, EMPTY)], lambda g: [g]),
    "in one leap": squashed,
}


def in_words(world) -> Expected:  # type: ignore[no-untyped-def]
    meaning = {
        set_id: f"{spec.selector}" + (f" {spec.protocol}:{spec.port}" if spec.ports else "")
        for set_id, spec in world.calculation._sets._specs.items()
    }
    return Expected(
        sets={meaning[set_id]: members for set_id, members in world.members().items()},
        rules={str(each.id): (len(each.ingress), len(each.egress)) for each in world.state.policies.values()},
        endpoints={
            each.id.name: (listed(each.ingress), listed(each.egress)) for each in world.state.endpoints.values()
        },
        routes={str(route.destination): route.interface for route in world.state.routes.values()},
    )


def listed(policies) -> str:  # type: ignore[no-untyped-def]
    tiers = "; ".join(f"{tier.name}: {' '.join(each.name for each in tier.policies)}" for tier in policies.tiers)
    return f"{tiers} | {' '.join(profile.name for profile in policies.profiles)}"


def go(world, group: Iterable[Update]) -> None:  # type: ignore[no-untyped-def]
    for key, resource in group:
        world.calculation.update(key, resource)
    world.flush()


@pytest.mark.parametrize("sequence", SEQUENCES, ids=lambda states: " → ".join(each.name for each in states))
@pytest.mark.parametrize("expander", EXPANDERS)
def test_the_desired_state_follows_from_the_contents_alone(world, sequence: list[State], expander: str) -> None:  # type: ignore[no-untyped-def]
    for groups, expected in EXPANDERS[expander](sequence):
        for group in groups:
            go(world, group)
        assert in_words(world) == expected
    everything = {key for each in sequence for key in each.contents}
    go(world, [(key, None) for key in everything])
    assert in_words(world) == Expected()
    assert world.calculation.is_empty(), "something was left behind"
