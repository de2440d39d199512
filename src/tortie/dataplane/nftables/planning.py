"""The plan: pure, and incremental where it is told what changed.

Operations stand in the order in which they depend on each other: the table and what it always has, new
sets, members, chains, rules, workload interfaces; removals last.
"""

from __future__ import annotations

from tortie.dataplane.nftables.chain_plan import ChainPlan
from tortie.dataplane.nftables.layout import FIXED_SETS, HOOKS
from tortie.dataplane.nftables.model import Kernel, KernelChain
from tortie.dataplane.nftables.operations import CreateTable, DeleteTable, Operation
from tortie.dataplane.nftables.set_plan import SetPlan
from tortie.dataplane.nftables.sets import kind_of
from tortie.dataplane.nftables.settings import Settings
from tortie.dataplane.nftables.workload_plan import WorkloadPlan
from tortie.desired.state import Changes, DesiredState


def plan_all(settings: Settings, desired: DesiredState, kernel: Kernel) -> list[Operation]:
    """From whatever is in the table to all that is desired."""
    if kernel.present and _is_beyond_repair(kernel):
        return [DeleteTable(), *plan_all(settings, desired, Kernel())]
    sets = SetPlan(desired, kernel)
    chains = ChainPlan(settings, desired, kernel, sets)
    workloads = WorkloadPlan(desired, kernel, chains)
    sets.put_fixed()
    chains.put_base()
    sets.put_all()
    chains.put_policies(desired.policies)
    workloads.put_all()
    chains.remove_unwanted()
    sets.remove_unwanted()
    return _ordered(kernel, sets, chains, workloads)


def plan_changes(settings: Settings, desired: DesiredState, kernel: Kernel, changes: Changes) -> list[Operation]:
    """As `plan_all`, looking only at what changed. The table must have been planned wholly before."""
    sets = SetPlan(desired, kernel)
    chains = ChainPlan(settings, desired, kernel, sets)
    workloads = WorkloadPlan(desired, kernel, chains)
    sets.put_changed(changes.sets, changes.set_changes)
    policies = changes.policies | sets.policies_to_render()
    chains.put_policies(policies)
    chains.refill_pending(policies)
    chains.put_turned(policies)
    workloads.put_changed(changes.endpoints)
    chains.release(workloads.operations, policies)
    return _ordered(kernel, sets, chains, workloads)


def _ordered(kernel: Kernel, sets: SetPlan, chains: ChainPlan, workloads: WorkloadPlan) -> list[Operation]:
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
        *workloads.operations,
        *chains.deleted,
        *sets.deleted,
    ]


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
    ours = name in HOOKS or name.startswith(("policy-", "tier-", "endpoint-", "pending-"))
    return ours and chain.hook != HOOKS.get(name)
