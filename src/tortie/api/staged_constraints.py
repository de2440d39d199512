"""Constraints between fields of staged policies and host endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tortie.api.constraint import Constraint, Finding, Search
from tortie.api.expressions import holds
from tortie.api.hostendpoint import HostEndpointSpec
from tortie.api.policy_constraints import GLOBAL_POLICY, policy_search
from tortie.api.prefixes import read_prefix
from tortie.api.stagedkubernetespolicy import (
    IPBlock,
    LabelRequirement,
    PolicyPeer,
    PolicyPort,
    StagedKubernetesNetworkPolicySpec,
)
from tortie.api.stagedpolicy import (
    StagedGlobalNetworkPolicy,
    StagedGlobalNetworkPolicySpec,
    StagedNetworkPolicy,
    StagedNetworkPolicySpec,
)

_KEPT_BY_DELETE = frozenset({"staged_action", "tier"})
_WITH_VALUES = frozenset({"In", "NotIn"})


def _delete_search(spec: Any) -> Iterator[Finding]:
    """Staging the end of a policy says nothing else about it."""
    if spec.staged_action != "Delete":
        return
    for field in msgspec.structs.fields(spec):
        empty = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        if field.name not in _KEPT_BY_DELETE and getattr(spec, field.name) != empty:
            yield field.encode_name, "must be empty with stagedAction Delete", "leave it out"


def _block_search(block: IPBlock) -> Iterator[Finding]:
    whole = read_prefix(block.cidr)
    for index, text in enumerate(block.except_):
        part = read_prefix(text)
        if whole is None or part is None:
            continue
        if whole.version != part.version or not _holds(whole.network, part.network):
            yield f"except[{index}]", f"{text} is not inside {block.cidr}", "name a part of cidr"


def _holds(whole: Any, part: Any) -> bool:
    return bool(part.subnet_of(whole)) and part != whole


def _is_range_without_numbers(port: PolicyPort) -> bool:
    return port.end_port is not None and (not isinstance(port.port, int) or port.end_port < port.port)


def _says_one_thing(peer: PolicyPeer) -> bool:
    selects = peer.pod_selector is not None or peer.namespace_selector is not None
    return selects is not (peer.ip_block is not None)


CONSTRAINTS: dict[type, tuple[Constraint, ...]] = {
    HostEndpointSpec: (
        Constraint(
            "interfaceName",
            lambda spec: not spec.interface_name and not spec.expected_ips,
            "is required without expectedIPs",
            "name the interface, or * for all of the host",
            f"{holds('interfaceName')} || {holds('expectedIPs')}",
        ),
    ),
    StagedGlobalNetworkPolicySpec: GLOBAL_POLICY,
    LabelRequirement: (
        Constraint(
            "values",
            lambda one: bool(one.values) is not (one.operator in _WITH_VALUES),
            "are for the operators In and NotIn, which need them",
        ),
    ),
    PolicyPeer: (Constraint("", lambda peer: not _says_one_thing(peer), "needs either selectors or an ipBlock"),),
    PolicyPort: (
        Constraint(
            "endPort", _is_range_without_numbers, "needs a numeric port that is not larger", "give the first port"
        ),
    ),
}
"""Constraints by struct."""

SEARCHES: dict[type, Search] = {
    IPBlock: _block_search,
    StagedGlobalNetworkPolicy: policy_search,
    StagedGlobalNetworkPolicySpec: _delete_search,
    StagedKubernetesNetworkPolicySpec: _delete_search,
    StagedNetworkPolicy: policy_search,
    StagedNetworkPolicySpec: _delete_search,
}
"""What takes more than one sentence, by struct."""
