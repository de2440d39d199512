"""The plan: pure, and incremental where it is told what changed.

Operations stand in the order in which they depend on each other: the table and what it always has, new
sets, members, chains, rules, interfaces; removals last.
"""

from __future__ import annotations

from collections.abc import Sequence

from tortie.dataplane.nftables.chain_plan import ChainPlan
from tortie.dataplane.nftables.host_plan import HostPlan
from tortie.dataplane.nftables.layout import FIXED_SETS, HOOKS
from tortie.dataplane.nftables.limit_rules import LIMIT_SETS, has_limits
from tortie.dataplane.nftables.model import Kernel, KernelChain
from tortie.dataplane.nftables.named_kinds import kind_of
from tortie.dataplane.nftables.network_layout import concerns_network
from tortie.dataplane.nftables.operations import CreateTable, DeleteTable, Operation, PutHost, PutWorkload
from tortie.dataplane.nftables.renderings import Renderings
from tortie.dataplane.nftables.set_plan import SetPlan
from tortie.dataplane.nftables.settings import Settings
from tortie.dataplane.nftables.workload_plan import WorkloadPlan
from tortie.desired.hosts import NOBODY, Guardians
from tortie.desired.state import Changes, DesiredState


def plan_all(
    settings: Settings,
    desired: DesiredState,
    kernel: Kernel,
    guards: Guardians = NOBODY,
    renderings: Renderings | None = None,
) -> list[Operation]:
    """From whatever is in the table to all that is desired.

    Args:
        guards: which host endpoint guards which interface.
        renderings: of the plans before; without them every policy is rendered.
    """
    if kernel.present and _is_beyond_repair(kernel):
        return [DeleteTable(), *plan_all(settings, desired, Kernel(), guards, renderings)]
    sets = SetPlan(desired, kernel)
    chains = ChainPlan(settings, desired, kernel, sets, renderings or Renderings())
    workloads, hosts = WorkloadPlan(desired, kernel, chains), HostPlan(kernel, chains)
    sets.put_fixed()
    chains.put_base()
    sets.put_all()
    sets.put_address_maps()
    sets.put_limits()
    chains.put_policies(desired.policies)
    if renderings:
        renderings.keep(desired.policies.keys())
    workloads.put_all()
    hosts.put(guards, chains.put_list)
    chains.put_network()
    chains.remove_unwanted()
    sets.remove_unwanted()
    return _ordered(kernel, sets, chains, [*workloads.operations, *hosts.operations])


def plan_changes(
    settings: Settings,
    desired: DesiredState,
    kernel: Kernel,
    changes: Changes,
    guards: Guardians | None = None,
    renderings: Renderings | None = None,
) -> list[Operation]:
    """As `plan_all`, looking only at what changed. The table must have been planned wholly before.

    Args:
        guards: as there; None when nobody's guard can be different.
        renderings: as there.
    """
    sets = SetPlan(desired, kernel)
    chains = ChainPlan(settings, desired, kernel, sets, renderings or Renderings())
    workloads, hosts = WorkloadPlan(desired, kernel, chains), HostPlan(kernel, chains)
    sets.put_changed(changes.sets, changes.set_changes)
    if changes.network:
        sets.put_address_maps()
    limits = _concerns_limits(desired, kernel, changes)
    if limits:
        sets.put_limits()
    policies = changes.policies | sets.policies_to_render()
    chains.put_policies(policies)
    chains.refill_pending(policies)
    chains.put_turned(policies)
    workloads.put_changed(changes.endpoints)
    if guards is not None:
        hosts.put(guards, chains.known_list)
    if limits or concerns_network(changes):
        chains.put_network()
    interfaces: list[PutWorkload | PutHost] = [*workloads.operations, *hosts.operations]
    chains.release(interfaces, policies)
    return _ordered(kernel, sets, chains, interfaces)


def _ordered(
    kernel: Kernel, sets: SetPlan, chains: ChainPlan, interfaces: Sequence[PutWorkload | PutHost]
) -> list[Operation]:
    table = [] if kernel.present else [CreateTable()]
    return [
        *sets.grown,
        *table,
        *sets.fixed,
        *chains.base,
        *sets.created,
        *sets.changed,
        *chains.created,
        *chains.filled,
        *interfaces,
        *chains.optional,
        *chains.deleted,
        *sets.deleted,
    ]


def _concerns_limits(desired: DesiredState, kernel: Kernel, changes: Changes) -> bool:
    """Whether somebody may have other limits than before."""
    if not changes.endpoints:
        return False
    changed = (desired.endpoints.get(one) for one in changes.endpoints)
    return any(name in kernel.sets for name in LIMIT_SETS) or any(one and has_limits(one) for one in changed)


def _is_beyond_repair(kernel: Kernel) -> bool:
    """Something bears a name of ours but is of another kind, which the kernel cannot change in place."""
    if kernel.flags or any(_is_wrong_hook(name, chain) for name, chain in kernel.chains.items()):
        return True
    for name, one in kernel.sets.items():
        kind = kind_of(name)
        wanted = FIXED_SETS.get(name) or (kind.declaration if kind else one.declaration)
        if one.declaration != wanted:
            return True
    return False


def _is_wrong_hook(name: str, chain: KernelChain) -> bool:
    ours = name in HOOKS or name.startswith(("policy-", "tier-", "endpoint-", "pending-", "failsafes-"))
    return ours and chain.hook != HOOKS.get(name)
