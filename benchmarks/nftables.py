"""The packet filter: programming it, changing it and reading it back, by us and by `nft -f`, in turns.

Prints minimum and median of CPU (own and children) and wall seconds, and the ratios of the minima. After every
change the rule set is read back and compared with what is desired. Arguments: numbers of sets.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.chains import policy_chain
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import (
    Action,
    Direction,
    Policy,
    PolicyId,
    PolicyList,
    PortRange,
    Rule,
    Side,
    TierPolicies,
)
from tortie.desired.sets import IPSet, Members, SetChange
from tortie.desired.state import Changes, DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside

ROUNDS = 5
REPEATED = 200
SIZES = {100: 20, 500: 50, 2000: 100}
"""Sets, which are as many as policies, and members of each."""

ENDPOINTS = {100: (200,), 500: (200,), 2000: (200, 1000)}
"""Workloads of the host beside them."""

LISTS = 20
"""Different lists of policies that the workloads have."""
Times = list[tuple[float, float]]
Work = Callable[[], None]


def policy_id(number: int) -> PolicyId:
    return PolicyId("GlobalNetworkPolicy", "", f"p{number}")


def policy(number: int, shift: int = 0) -> Policy:
    """Ten rules: TCP, source in a set, destination port."""
    source = Side(sets=(f"s:{number}",))
    rules = tuple(
        Rule(Action.ALLOW, index, 4, 6, source=source, destination=Side(ports=(PortRange(port, port),)))
        for index, port in enumerate(range(1000 + shift, 1010 + shift))
    )
    return Policy(policy_id(number), "default", rules)


def addresses(number: int, count: int) -> bytes:
    return b"".join((0x0A000000 + number * 1000 + one).to_bytes(4, "big") for one in range(count))


def desired_state(sets: int, members: int, endpoints: int) -> DesiredState:
    state = DesiredState()
    state.sets = {f"s:{one}": IPSet(f"s:{one}", Members(hosts4=addresses(one, members))) for one in range(sets)}
    state.policies = {policy_id(one): policy(one) for one in range(sets)}
    names = tuple(state.policies)
    lists = [PolicyList((TierPolicies("default", names[one::LISTS], Action.DENY),)) for one in range(LISTS)]
    for number in range(endpoints):
        one = EndpointId("x", f"y{number}")
        address = Cidr(4, 0x0A420000 + number, 32)
        state.endpoints[one] = Endpoint(one, f"cali{number}", (address,), lists[number % LISTS], PolicyList())
    return state


def bring(target: NftablesTarget, desired: DesiredState, changes: Changes | None = None) -> None:
    actual = target.read()
    plan = target.plan(desired, actual, changes)
    if plan.operations:
        target.apply(plan.operations)
    target.applied(actual, plan)


def carry_out(target: NftablesTarget, desired: DesiredState, changes: Changes) -> None:
    """As the loop does it for a change: what the kernel has is known."""
    actual = target.connection.mirror
    assert actual is not None
    plan = target.plan(desired, actual, changes)
    target.apply(plan.operations)
    target.applied(actual, plan)


def check(desired: DesiredState) -> None:
    target = NftablesTarget()
    assert not target.plan(desired, target.read(), None).operations


def nft(file: Path) -> None:
    subprocess.run(["nft", "-f", str(file)], check=True)


def measure(work: Work) -> tuple[float, float]:
    def cpu() -> float:
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    before, started = cpu(), time.perf_counter()
    work()
    return cpu() - before, time.perf_counter() - started


def compare(name: str, ours: Work, theirs: Work, prepare: Work = lambda: None, rounds: int = ROUNDS) -> None:
    """Both in turns, each after `prepare`."""
    times: dict[str, Times] = {"ours": [], "nft": []}
    for _ in range(rounds):
        for who, work in (("ours", ours), ("nft", theirs)):
            prepare()
            times[who].append(measure(work))
    best = {}
    for who, found in times.items():
        cpu, wall = zip(*found, strict=True)
        best[who] = min(wall)
        print(
            f"{name:58} {who:5} cpu {min(cpu):9.6f} {statistics.median(cpu):9.6f}"
            f"  wall {min(wall):9.6f} {statistics.median(wall):9.6f}"
        )
    print(f"{name:58} ratio of wall minima {best['ours'] / best['nft']:.4f}\n")


def percentiles(name: str, work: Work, changes: int = 1) -> None:
    """Of ours alone, which goes on as in an agent that is kept busy; `changes` is how many of them `work` makes."""
    seconds = sorted(measure(work)[1] / changes for _ in range(REPEATED))
    print(f"{name:58} ours  each p50 {seconds[REPEATED // 2]:9.6f}  p99 {seconds[REPEATED * 99 // 100]:9.6f}\n")


def delete_table() -> None:
    subprocess.run(["nft", "delete", "table", "inet", "tortie"], stderr=subprocess.DEVNULL, check=False)


def table_benchmarks(directory: Path, sets: int, members: int, endpoints: int) -> None:
    delete_table()
    desired = desired_state(sets, members, endpoints)
    target = NftablesTarget()
    bring(target, desired)
    check(desired)
    listed = subprocess.run(["nft", "list", "ruleset"], capture_output=True, check=True).stdout
    whole = directory / "whole"
    whole.write_bytes(listed)
    label = f"{sets} sets of {members}, {endpoints} endpoints"
    compare(
        f"program from nothing, {label}", lambda: bring(NftablesTarget(), desired), lambda: nft(whole), delete_table
    )
    check(desired)
    target = NftablesTarget()
    bring(target, desired)
    toggle_member(directory, target, desired, label)
    rewrite_chain(directory, target, desired, label)
    resync(desired, label)
    fast = measure(lambda: bring_known(target))
    print(f"{'resync, nothing changed, ' + label:58} wall {fast[1]:9.6f}\n")


def bring_known(target: NftablesTarget) -> None:
    target.read()


def toggle_member(directory: Path, target: NftablesTarget, desired: DesiredState, label: str) -> None:
    old = desired.sets["s:7"].members
    extra = Members(hosts4=bytes((192, 0, 2, 1)))
    more = IPSet("s:7", Members(hosts4=old.hosts4 + extra.hosts4))
    less = IPSet("s:7", old)
    files = [directory / "add", directory / "delete"]
    for file in files:
        file.write_text(f"{file.name} element inet tortie hosts4-s.7 {{ 192.0.2.1 }}\n")

    def ours() -> None:
        for ipset, change in ((more, SetChange("s:7", extra, Members())), (less, SetChange("s:7", Members(), extra))):
            desired.sets["s:7"] = ipset
            carry_out(target, desired, Changes(set_changes={"s:7": [change]}))

    def theirs() -> None:
        for file in files:
            nft(file)

    compare(f"member there and back, {label}", ours, theirs, lambda: bring(target, desired))
    bring(target, desired)
    percentiles(f"member, {label}", ours, changes=2)
    check(desired)


def rewrite_chain(directory: Path, target: NftablesTarget, desired: DesiredState, label: str) -> None:
    chain = policy_chain(policy_id(7), Direction.INGRESS)
    body = "".join(
        f"add rule inet tortie {chain} ip saddr @hosts4-s.7 tcp dport {port} counter accept\n"
        for port in range(2000, 2010)
    )
    file = directory / "chain"
    file.write_text(f"flush chain inet tortie {chain}\n{body}")

    def ours() -> None:
        shift = 10 if desired.policies[policy_id(7)] == policy(7) else 0
        desired.policies[policy_id(7)] = policy(7, shift)
        carry_out(target, desired, Changes(policies={policy_id(7)}))

    compare(f"rewrite one chain, {label}", ours, lambda: nft(file), lambda: bring(target, desired))
    bring(target, desired)
    percentiles(f"rewrite one chain, {label}", ours)
    bring(target, desired)
    check(desired)


def resync(desired: DesiredState, label: str) -> None:
    def listing() -> None:
        subprocess.run(["nft", "-j", "list", "ruleset"], capture_output=True, check=True)

    compare(f"resync (nft: list), {label}", lambda: check(desired), listing)


def large_set(directory: Path, count: int) -> None:
    delete_table()
    desired = DesiredState()
    hosts = b"".join(one.to_bytes(4, "big") for one in range(0x0A000000, 0x0A000000 + count))
    desired.sets = {"s:big": IPSet("s:big", Members(hosts4=hosts))}
    file = directory / "large"
    text = ",".join(f"10.{one >> 16 & 255}.{one >> 8 & 255}.{one & 255}" for one in range(count))
    file.write_text("table inet tortie {\nset s {\ntype ipv4_addr\nelements = {" + text + "}\n}\n}\n")
    compare(f"{count} elements", lambda: bring(NftablesTarget(), desired), lambda: nft(file), delete_table, 3)
    delete_table()


def main() -> None:
    chosen = [int(one) for one in sys.argv[1:]] or list(SIZES)
    descriptor = anonymous_namespace()
    with inside(descriptor), tempfile.TemporaryDirectory() as directory:
        for sets in chosen:
            for endpoints in ENDPOINTS[sets]:
                table_benchmarks(Path(directory), sets, SIZES[sets], endpoints)
        large_set(Path(directory), 1_000_000)
    os.close(descriptor)


if __name__ == "__main__":
    main()
