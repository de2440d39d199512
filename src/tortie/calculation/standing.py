"""Flows that stand already: which of them the policies of this node's workloads would deny if they began now. Pure."""

from __future__ import annotations

from collections.abc import Collection

from tortie.base.addresses import Cidr
from tortie.calculation.setindex import SetIndex
from tortie.calculation.verdict import Packet, evaluate
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Direction, Policy, PolicyId, PolicyList
from tortie.desired.state import Changes, DesiredState


class Standing:
    """A node as it was when this was made; what changes in its state afterwards is not seen.

    Args:
        own: addresses of the host itself, whose packets to its own workloads nobody judges.
    """

    def __init__(self, state: DesiredState, own: Collection[Cidr] = ()) -> None:
        self._policies = dict(state.policies)
        self._sets = SetIndex(state.sets.values())
        self._own = {(one.family, one.address) for one in own}
        self._holders = {
            (address.family, address.address): endpoint
            for endpoint in state.endpoints.values()
            if endpoint.active
            for address in endpoint.addresses
        }

    def is_denied(self, first: Packet) -> bool:
        """Whether a workload of this node may not send or not receive a flow that begins with this packet.

        Args:
            first: as it is forwarded: its destination is translated already, its source not yet.
        """
        sender = self._holders.get((first.family, first.source))
        receiver = self._holders.get((first.family, first.destination))
        if sender is not None and self._denies(sender.egress, Direction.EGRESS, first):
            return True
        if receiver is None or (first.family, first.source) in self._own:
            return False
        return self._denies(receiver.ingress, Direction.INGRESS, first)

    def _denies(self, governing: PolicyList, direction: Direction, packet: Packet) -> bool:
        return evaluate(governing, direction, packet, self._policies, self._sets).action is Action.DENY


def affected(state: DesiredState, changes: Changes) -> set[EndpointId]:
    """Endpoints whose packets may fare differently after these changes."""
    sets = changes.sets | changes.set_changes.keys()
    policies = changes.policies | {
        policy.id for policy in state.policies.values() if not sets.isdisjoint(named_sets(policy))
    }
    return {one.id for one in state.endpoints.values() if one.id in changes.endpoints or _is_governed(one, policies)}


def _is_governed(endpoint: Endpoint, policies: set[PolicyId]) -> bool:
    return any(not policies.isdisjoint(governing.policy_ids()) for governing in (endpoint.ingress, endpoint.egress))


def named_sets(policy: Policy) -> set[str]:
    """The sets that its rules refer to."""
    return {
        name
        for rule in (*policy.ingress, *policy.egress)
        for side in (rule.source, rule.destination)
        for names in (side.sets, side.not_sets, side.port_sets, side.not_port_sets, side.service_sets)
        for name in names
    }
