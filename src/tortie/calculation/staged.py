"""Staged policies: what each would become if it were enforced, and which policies it would replace."""

from __future__ import annotations

from collections import Counter
from typing import TypeVar

import msgspec

from tortie.api.codec import to_mapping
from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.stagedkubernetespolicy import StagedKubernetesNetworkPolicy
from tortie.api.stagedpolicy import StagedGlobalNetworkPolicy, StagedNetworkPolicy
from tortie.convert.networkpolicy import NAME_PREFIX, network_policy
from tortie.desired.policy import PolicyId

AnyStaged = StagedNetworkPolicy | StagedGlobalNetworkPolicy | StagedKubernetesNetworkPolicy
Spec = TypeVar("Spec", bound=msgspec.Struct)

_IGNORE = "Ignore"
_DELETE = "Delete"


class Staged(msgspec.Struct, frozen=True, gc=False):
    """What enforcing would do: put `policy` in the place of `target`, or only take that away when it is None."""

    target: PolicyId
    policy: NetworkPolicy | GlobalNetworkPolicy | None


def staged(resource: AnyStaged) -> Staged | None:
    """What a staged policy asks for; None when it is to be ignored.

    An action that is not given is Set; Learn, a mark of tools, is as Set.

    Raises:
        InvalidResource: a Kubernetes policy that cannot be converted.
    """
    action = resource.spec.staged_action
    if action == _IGNORE:
        return None
    target = becomes(PolicyId(resource.kind, resource.metadata.namespace, resource.metadata.name))
    return Staged(target, None if action == _DELETE else _policy(resource))


def becomes(policy: PolicyId) -> PolicyId:
    """The policy that a staged one would be; others are what they are."""
    if policy.kind == StagedKubernetesNetworkPolicy.kind:
        return PolicyId(NetworkPolicy.kind, policy.namespace, NAME_PREFIX + policy.name.removeprefix(NAME_PREFIX))
    return PolicyId(policy.kind.removeprefix("Staged"), policy.namespace, policy.name)


def _policy(resource: AnyStaged) -> NetworkPolicy | GlobalNetworkPolicy | None:
    match resource:
        case StagedNetworkPolicy():
            return NetworkPolicy(metadata=resource.metadata, spec=_same_fields(resource.spec, NetworkPolicySpec))
        case StagedGlobalNetworkPolicy():
            spec = _same_fields(resource.spec, GlobalNetworkPolicySpec)
            return GlobalNetworkPolicy(metadata=resource.metadata, spec=spec)
        case StagedKubernetesNetworkPolicy():
            return _from_kubernetes(resource)


def _same_fields(source: msgspec.Struct, target: type[Spec]) -> Spec:
    return target(**{name: getattr(source, name) for name in target.__struct_fields__})


def _from_kubernetes(resource: StagedKubernetesNetworkPolicy) -> NetworkPolicy | None:
    spec = resource.spec
    if not spec.policy_types:
        types = ("Ingress", "Egress") if spec.egress else ("Ingress",)
        resource = msgspec.structs.replace(resource, spec=msgspec.structs.replace(spec, policy_types=types))
    converted = network_policy(to_mapping(resource)).resource
    return converted if isinstance(converted, NetworkPolicy) else None


class Replacements:
    """Which enforced policies are not there any more once everything staged is enforced."""

    def __init__(self) -> None:
        self._targets: dict[PolicyId, PolicyId] = {}
        self._count: Counter[PolicyId] = Counter()
        self._changed: set[PolicyId] = set()

    def __contains__(self, policy: PolicyId) -> bool:
        return policy in self._count

    def put(self, policy: PolicyId, target: PolicyId | None) -> None:
        """A staged policy is to take the place of `target`, or no longer."""
        old = self._targets.pop(policy, None)
        if old == target:
            if target is not None:
                self._targets[policy] = target
            return
        for one, step in ((old, -1), (target, 1)):
            if one is not None:
                self._count[one] += step
                self._changed.add(one)
        if old is not None and not self._count[old]:
            del self._count[old]
        if target is not None:
            self._targets[policy] = target

    def take_changed(self) -> set[PolicyId]:
        """The policies about which something changed since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._targets or self._count or self._changed)
