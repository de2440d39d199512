"""From counters to what people ask: how many packets each policy and rule matched. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from tortie.agent.hits import EndHits, PolicyHits, RuleHits
from tortie.dataplane.nftables.rule_names import RuleName
from tortie.dataplane.nftables.rule_words import words
from tortie.desired.policy import Direction, Policy, PolicyId, rule_identity
from tortie.desired.state import DesiredState

Counts = Mapping[int, tuple[int, int]]
"""Packets and bytes by rule identity."""


def policy_hits(
    desired: DesiredState, order: Iterable[PolicyId], counts: Counts, endpoint: str = ""
) -> list[PolicyHits]:
    """What policies counted.

    Args:
        order: in which they are to be; those that are not programmed are left out.
        endpoint: `namespace/name`: only what governs it. Its figures are those of all that the policies govern.
    """
    governed = _governed(desired)
    known = [policy for policy in order if policy in desired.policies]
    known += sorted(desired.policies.keys() - set(known))
    if endpoint:
        named = [one for one in desired.endpoints.values() if str(one.id) == endpoint]
        wanted = {policy for one in named for each in (one.ingress, one.egress) for policy in each.policy_ids()}
        known = [policy for policy in known if policy in wanted]
    return [_hits(desired.policies[policy], counts, governed[policy]) for policy in known]


def end_hits(counts: Counts, name_of: Callable[[int], RuleName | None]) -> list[EndHits]:
    """What no policy decided; only what happened at all."""
    found = []
    for identity, (packets, octets) in counts.items():
        name = name_of(identity)
        said = words(name) if name and packets else None
        if name and said:
            found.append(EndHits(name.direction, said.fate.value, said.reason, packets, octets))
    return sorted(found, key=lambda one: (one.fate, one.reason, one.direction.value))


def _governed(desired: DesiredState) -> Counter[PolicyId]:
    """How many endpoints each policy governs; equal lists are looked at once."""
    found: Counter[PolicyId] = Counter()
    lists = Counter((endpoint.ingress, endpoint.egress) for endpoint in desired.endpoints.values())
    for (ingress, egress), count in lists.items():
        for policy in ingress.policy_ids() | egress.policy_ids():
            found[policy] += count
    for host in desired.host_endpoints.values():
        found.update(host.policy_ids())
    return found


def _hits(policy: Policy, counts: Counts, endpoints: int) -> PolicyHits:
    rules = [hits for direction in Direction for hits in _rules(policy, direction, counts)]
    return PolicyHits(
        kind=policy.id.kind,
        namespace=policy.id.namespace,
        name=policy.id.name,
        tier=policy.tier,
        staged=policy.id.is_staged,
        endpoints=endpoints,
        packets=sum(rule.packets for rule in rules),
        bytes=sum(rule.bytes for rule in rules),
        rules=rules,
    )


def _rules(policy: Policy, direction: Direction, counts: Counts) -> Iterable[RuleHits]:
    """One for each written rule, however many it was compiled to."""
    actions = {rule.index: rule.action.value for rule in policy.rules(direction)}
    for index, action in actions.items():
        packets, octets = counts.get(rule_identity(policy.id, direction, index), (0, 0))
        yield RuleHits(direction, index, action, packets, octets)
