"""What is counted here where a file gives the counts of the tool that it comes from.

Loaded by path. Where these counts differ, and why, is in docs/explanation/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import verifier

from tortie.analysis.difference import changes
from tortie.analysis.idle import TOO_LATE, idle
from tortie.analysis.relations import is_equivalent

Document = Mapping[str, Any]


def emptiness(asked: verifier.Asked, arguments: Sequence[str]) -> int:
    """Policies that govern nobody, and rules of the others that match no packet."""
    return sum(one.why != TOO_LATE for argument in arguments for one in idle(asked.reach(argument)))


def redundancy(asked: verifier.Asked, arguments: Sequence[str]) -> int:
    """Policies, and rules of the others, without any one of which no packet fares otherwise."""
    return sum(_redundant(asked, argument) for argument in arguments)


def semantic_diff(asked: verifier.Asked, arguments: Sequence[str]) -> int:
    """Pairs of groups between which something is opened or closed, from the first argument to the second."""
    before, after = (asked.reach(one).cluster for one in arguments[:2])
    return len(changes(before, after))


def _redundant(asked: verifier.Asked, argument: str) -> int:
    documents, whole = asked.documents(argument), asked.reach(argument)
    policies = [one for one in documents if one["kind"] != "Profile"]

    def goes(policy: Document, instead: Sequence[Document]) -> bool:
        others = [one for one in documents if one is not policy]
        return is_equivalent(whole, asked.under([*others, *instead], asked.others(argument)))

    staying = [policy for policy in policies if not goes(policy, ())]
    rules = sum(goes(policy, (less,)) for policy in staying for less in _without_a_rule(policy))
    return len(policies) - len(staying) + rules


def _without_a_rule(policy: Document) -> Iterator[Document]:
    """The policy without each of its rules; which directions it has stays as it was, where it says so itself."""
    spec = policy["spec"]
    if "types" not in spec and "policyTypes" not in spec:
        return
    for way in ("ingress", "egress"):
        rules = spec.get(way) or []
        for index in range(len(rules)):
            yield {**policy, "spec": {**spec, way: [*rules[:index], *rules[index + 1 :]]}}


COUNTS: dict[str, Callable[[verifier.Asked, Sequence[str]], int]] = {
    "emptiness": emptiness,
    "redundancy": redundancy,
    "semanticDiff": semantic_diff,
}
