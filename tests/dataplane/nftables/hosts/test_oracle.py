"""Random host endpoints and random datagrams: what is said of a packet's way across the host is what happens to it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.calculation.crossing import Crossing, Host, Passage, Surroundings
from tortie.calculation.verdict import Packet
from tortie.dataplane.nftables.settings import EndpointToHost, Settings
from tortie.desired.failsafes import UDP, Failsafe, Failsafes
from tortie.desired.hosts import HostEndpoint, HostEndpointName, Tiers
from tortie.desired.network import Network, Tunnels
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, Side, Stage, TierPolicies
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import Changes, DesiredState

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(600)]

SEEDS = st.integers(0, 2**32 - 1)
"""What everything is drawn from."""
FEW = settings(
    max_examples=max(1, settings.default.max_examples // 6), phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
MANY = settings(FEW, max_examples=settings.default.max_examples * 30)

PORTS = (22, 53, 80, 81, 1053)
VXLAN_PORT = 1053
INTERFACES = {"near": "eth0", "far": "eth1", "pod1": "cali1", "pod2": "cali2"}
NETS = {4: ("192.0.2.0/24", "198.51.100.9/32", "10.65.0.0/31", "0.0.0.0/1"), 6: ("fd00:2::/64", "fd00:65::1/128")}
SHOTS = 60


class Meant(msgspec.Struct, frozen=True):
    """A datagram that was sent, and the ways it may take: translated, and as it was written."""

    shot: Any
    way: Crossing
    untranslated: Crossing | None = None


class Dice(random.Random):
    """Chance, with the words for what is drawn here."""

    def happens(self, chance: float) -> bool:
        return self.random() < chance

    def rule(self, index: int) -> Rule:
        family = self.choice((None, None, 4, 6))
        sides = [self.side(family), self.side(family)]
        return Rule(self.choice((*Action, Action.ALLOW, Action.DENY)), index, family, UDP, None, None, None, *sides)

    def side(self, family: int | None) -> Side:
        nets = (Cidr.parse(self.choice(NETS[family])),) if family and self.happens(0.5) else ()
        ports = (80, 53, 81, 22, 32010, 32011, 32012)
        chosen = sorted(self.sample(ports, self.randint(1, 3))) if self.happens(0.5) else ()
        return Side(nets=nets, ports=tuple(PortRange(port, port) for port in chosen))

    def policy(self, name: str, stage: Stage) -> Policy:
        ways = [tuple(self.rule(index) for index in range(self.randint(0, 3))) for _ in range(2)]
        return Policy(PolicyId("GlobalNetworkPolicy", "", name), "t", *ways, stage=stage)

    def tiers(self, policies: list[Policy], stage: Stage, chance: float) -> Tiers:
        fitting = [one.id for one in policies if one.stage is stage]
        return tuple(
            TierPolicies(
                f"t{number}",
                tuple(self.sample(fitting, self.randint(1, len(fitting)))),
                self.choice((Action.DENY, Action.PASS)) if stage is Stage.NORMAL else Action.PASS,
            )
            for number in range(2)
            if self.happens(chance)
        )


def draw(dice: Dice, state: DesiredState) -> DesiredState:
    """Host endpoints for some interfaces, and policies of every stage; the workloads are as given."""
    policies = [dice.policy(f"{stage.value}{n}", stage) for stage in Stage for n in range(3)]
    profiles = (PolicyId("Profile", "", "open"),)
    state.policies |= {one.id: one for one in policies}
    for name in dice.sample("abcd", dice.randint(1, 3)):
        interface = dice.choice(("eth0", "eth0", "eth1", "*", "*", "", "lo"))
        raw = [() if interface == "*" else dice.tiers(policies, Stage.UNTRACKED, 0.3) for _ in range(2)]
        state.host_endpoints[HostEndpointName(name)] = HostEndpoint(
            HostEndpointName(name),
            interface,
            tuple(map(Cidr.host, dice.choice((("192.0.2.1",), ("fd00:51::1",), ("192.0.2.77",))))),
            PolicyList(dice.tiers(policies, Stage.NORMAL, 0.6), profiles if dice.happens(0.5) else ()),
            PolicyList(dice.tiers(policies, Stage.NORMAL, 0.6), profiles if dice.happens(0.5) else ()),
            dice.tiers(policies, Stage.NORMAL, 0.3),
            dice.tiers(policies, Stage.NORMAL, 0.3),
            dice.tiers(policies, Stage.PRE_DNAT, 0.4),
            *raw,
        )
    return draw_tunnels(dice, state)


def draw_tunnels(dice: Dice, state: DesiredState) -> DesiredState:
    """`near` is the only other node, if that."""
    near = dice.choice((Members(), Members(Cidr.host("192.0.2.9").packed, Cidr.host("fd00:2::9").packed)))
    state.network = Network(Tunnels(vxlan=dice.choice(((), (4,), (6,), (4, 6)))))
    state.sets |= {one: IPSet(one, near) for one in state.network.set_ids()}
    return state


def draw_settings(dice: Dice) -> Settings:
    nets = (None, None, Cidr.parse("192.0.2.0/24"), Cidr.parse("fd00:2::/64"))
    inbound, outbound = (
        tuple(Failsafe(UDP, dice.choice(PORTS), dice.choice(nets)) for _ in range(dice.randint(0, 2))) for _ in "io"
    )
    reaching = dice.choice((EndpointToHost.ACCEPT, EndpointToHost.DROP))
    return Settings(failsafes=Failsafes(inbound, outbound), endpoint_to_host=reaching, vxlan_port=VXLAN_PORT)


class Sender:
    """Draws datagrams between everybody around the host, and knows which ways they may take."""

    def __init__(self, lab: Any, dice: Dice, known: Any) -> None:
        self._lab, self._dice, self._known = lab, dice, known
        self._numbers = iter(dice.sample(range(20000, 30000), SHOTS))

    def shots(self) -> Iterator[Meant]:
        for source_port in self._numbers:
            family = self._dice.choice((0, 1))
            sender = self._dice.choice(("host", "host", *INTERFACES))
            yield self._dice.choice((self._plain, self._plain, self._translated))(family, sender, source_port)

    def _plain(self, family: int, sender: str, source_port: int) -> Meant:
        receiver = self._dice.choice([one for one in ("host", *INTERFACES) if one != sender])
        port = self._dice.choice(PORTS)
        destination = self._known.OWN[self._own(sender)][family]
        if receiver != "host":
            destination = self._known.ADDRESSES[receiver][family]
        shot = self._known.Shot(sender, destination, port, receiver, source_port)
        packet = self._packet(shot, family, destination, port, INTERFACES.get(receiver, ""))
        return Meant(shot, Crossing(packet, INTERFACES.get(sender, ""), INTERFACES.get(receiver, "")))

    def _translated(self, family: int, sender: str, source_port: int) -> Meant:
        known = self._known
        if sender == "host" or self._dice.happens(0.3):
            receiver = self._dice.choice([one for one in known.SERVICES if one != sender])
            written, port, to = known.SERVICES[receiver][family], 53, 80
        else:
            chosen = [one for one in known.NODE_PORTS if known.NODE_PORTS[one][0] != sender]
            port = self._dice.choice(chosen)
            written, (receiver, to) = known.OWN[self._own(sender)][family], known.NODE_PORTS[port]
        actual = known.OWN["eth0"][family] if receiver == "host" else known.ADDRESSES[receiver][family]
        shot = known.Shot(sender, written, port, receiver, source_port)
        incoming, outgoing = INTERFACES.get(sender, ""), INTERFACES.get(receiver, "")
        first = "eth0" if sender == "host" else ""
        original = self._packet(shot, family, written, port, first)
        packet = msgspec.structs.replace(original, destination=Cidr.host(actual).address, destination_port=to)
        is_here = written in known.OWN["eth0"] or written in known.OWN["eth1"]
        untouched = Crossing(original, incoming, "" if is_here else "eth0")
        return Meant(shot, Crossing(packet, incoming, outgoing, original, first), untouched)

    def _own(self, sender: str) -> str:
        return "eth1" if sender == "far" else "eth0"

    def _packet(self, shot: Any, family: int, destination: str, port: int, leaving: str) -> Packet:
        if shot.sender != "host":
            source = self._known.ADDRESSES[shot.sender][family]
        else:
            source = self._known.OWN[leaving if leaving in self._known.OWN else "eth0"][family]
        ends = Cidr.host(source).address, Cidr.host(destination).address
        return Packet((4, 6)[family], UDP, *ends, shot.source_port, port)


def expected(host: Host, meant: Meant) -> tuple[bool, Passage]:
    """Whether it arrives where it is meant to: what is not tracked is not translated either."""
    passage = host.judge(meant.way)
    untracked = any("untracked" in stop.where and stop.action is Action.ALLOW for stop in passage.stops)
    if not (untracked and meant.untranslated):
        return passage.action is Action.ALLOW, passage
    passage = host.judge(meant.untranslated)
    stays = meant.shot.receiver == "host" and not meant.untranslated.outgoing
    return stays and passage.action is Action.ALLOW, passage


def wrong(lab: Any, known: Any, state: DesiredState, chosen: Settings, seed: int) -> list[str]:
    """Datagrams that fared otherwise than was said."""
    reach_host = chosen.endpoint_to_host is EndpointToHost.ACCEPT
    own = {name: held for name, held in lab.own_addresses().items() if not name.startswith("cali")}
    host = Host(state, Surroundings(own, chosen.failsafes, reach_host=reach_host, vxlan_port=chosen.vxlan_port))
    sent = list(Sender(lab, Dice(seed), known).shots())
    lab.forget_connections()
    arrived = lab.arrived([one.shot for one in sent])
    lines = []
    for one in sent:
        should, passage = expected(host, one)
        if should != (one.shot in arrived):
            lines.append(f"{one.shot} {'lost' if should else 'arrived'}: {' / '.join(map(str, passage.stops))}")
    return lines


@pytest.fixture(scope="module")
def known(request: pytest.FixtureRequest) -> Any:
    """The names that the lab is made of."""
    return next(one for one in request.config.pluginmanager.get_plugins() if hasattr(one, "NODE_PORTS"))


def packets_fare_as_said(lab: Any, known: Any, seed: int) -> None:
    dice = Dice(seed)
    for step in range(2):
        state = draw(dice, known.open_pods())
        lab.target.settings = draw_settings(dice)
        lab.bring(state)
        assert not (found := wrong(lab, known, state, lab.target.settings, seed + step)), "\n".join(found)


def changes_lead_to_the_same(lab: Any, known: Any, seed: int) -> None:
    dice = Dice(seed)
    before, after = draw(dice, known.open_pods()), draw(dice, known.open_pods())
    lab.target.settings = draw_settings(dice)
    lab.bring(before)
    hosts = set(before.host_endpoints) | set(after.host_endpoints)
    policies, sets = set(before.policies) | set(after.policies), set(before.sets) | set(after.sets)
    lab.bring(after, Changes(sets=sets, policies=policies, host_endpoints=hosts, network=True))
    assert not lab.plan(after).operations
    assert not (found := wrong(lab, known, after, lab.target.settings, seed)), "\n".join(found)


@FEW
@given(SEEDS)
def test_datagrams_cross_the_host_as_said(host_lab: Any, known: Any, seed: int) -> None:
    packets_fare_as_said(host_lab, known, seed)


@FEW
@given(SEEDS)
def test_changes_of_host_endpoints_end_like_a_fresh_start(host_lab: Any, known: Any, seed: int) -> None:
    changes_lead_to_the_same(host_lab, known, seed)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@MANY
@given(SEEDS)
def test_datagrams_cross_the_host_as_said_for_long(host_lab: Any, known: Any, seed: int) -> None:
    packets_fare_as_said(host_lab, known, seed)
    changes_lead_to_the_same(host_lab, known, seed)
