"""Operations on our table: what a plan is made of, and what each does to the mirror."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from tortie.dataplane.nftables.model import Kernel, KernelChain, KernelRule, KernelSet, Workload
from tortie.desired.policy import Direction, PolicyId
from tortie.netlink.nftables import Hook, SetDeclaration


class Against(msgspec.Struct, frozen=True, gc=False):
    """Go on only if nobody else has changed our table since this generation."""

    generation: int


class DeleteTable(msgspec.Struct, frozen=True, gc=False):
    """Take away everything, because something that cannot be changed in place is wrong."""


class CreateTable(msgspec.Struct, frozen=True, gc=False):
    """Make the empty table."""


class CreateSet(msgspec.Struct, frozen=True, gc=False):
    """Make an empty set."""

    name: str
    declaration: SetDeclaration
    size: int = 0


class GrowSet(msgspec.Struct, frozen=True, gc=False):
    """Raise the size of a set; the kernel heeds it from the next transaction on."""

    name: str
    declaration: SetDeclaration
    size: int


class ChangeElements(msgspec.Struct, frozen=True, gc=False):
    """Change members of a set; all three are records in the form of the set's kind, `after` all that it then holds."""

    name: str
    added: bytes
    removed: bytes
    after: bytes


class DeleteSet(msgspec.Struct, frozen=True, gc=False):
    """Delete a set that no rule names any more."""

    name: str


class CreateChain(msgspec.Struct, frozen=True, gc=False):
    """Make an empty chain."""

    name: str
    hook: Hook | None = None


class FillChain(msgspec.Struct, frozen=True, gc=False):
    """Replace all rules of a chain.

    Args:
        origin: whose rules these are; with `direction` and a rule's index it gives the rule's identity.
        flush: the chain may hold rules.
    """

    name: str
    rules: tuple[KernelRule, ...]
    origin: PolicyId
    direction: Direction
    flush: bool


class PutWorkload(msgspec.Struct, frozen=True, gc=False):
    """Replace what the kernel knows of an interface; `new` None takes it away."""

    interface: str
    old: Workload | None
    new: Workload | None


class PutHost(msgspec.Struct, frozen=True, gc=False):
    """Replace the chain that a map of host endpoints has for an interface; empty is none."""

    map: str
    interface: str
    old: str
    new: str


class DeleteChain(msgspec.Struct, frozen=True, gc=False):
    """Delete a chain that nothing leads to, with its rules."""

    name: str


Operation: TypeAlias = (
    Against
    | DeleteTable
    | CreateTable
    | CreateSet
    | GrowSet
    | ChangeElements
    | DeleteSet
    | CreateChain
    | FillChain
    | PutWorkload
    | PutHost
    | DeleteChain
)


def evolve(kernel: Kernel, operations: Sequence[Operation]) -> Kernel:
    """The mirror after the operations; changed in place, but for the deletion of the table."""
    for operation in operations:
        match operation:
            case DeleteTable():
                kernel = Kernel(generation=kernel.generation)
            case CreateTable():
                kernel.present = True
            case CreateSet(name, declaration, size):
                kernel.sets[name] = KernelSet(declaration, b"", size)
            case GrowSet(name, declaration, size):
                kernel.sets[name] = KernelSet(declaration, kernel.sets[name].records, size)
            case ChangeElements(name, _, _, after):
                old = kernel.sets[name]
                kernel.sets[name] = KernelSet(old.declaration, after, old.size)
            case DeleteSet(name):
                del kernel.sets[name]
            case CreateChain(name, hook):
                kernel.chains[name] = KernelChain(hook=hook)
            case FillChain() | DeleteChain():
                _replace_chain(kernel, operation)
            case PutWorkload():
                _replace_workload(kernel, operation)
            case PutHost():
                _replace_host(kernel, operation)
    return kernel


def leads(what: Workload | str | None) -> list[str]:
    """The chains that maps lead to from an interface: of a workload, or of the host (one chain, or none if empty)."""
    if isinstance(what, Workload):
        return [chain for chain in (what.egress, what.ingress) if chain]
    return [what] if what else []


def targets(rules: Sequence[KernelRule]) -> tuple[str, ...]:
    """The chains that rules jump to."""
    return tuple(rule.target for rule in rules if rule.target)


def _replace_chain(kernel: Kernel, operation: FillChain | DeleteChain) -> None:
    old = kernel.chains[operation.name]
    _count(kernel.users, old.targets, -1)
    if isinstance(operation, DeleteChain):
        del kernel.chains[operation.name]
        return
    new = targets(operation.rules)
    _count(kernel.users, new, 1)
    kernel.chains[operation.name] = KernelChain(tuple(rule.tag for rule in operation.rules), new, old.hook)


def _replace_workload(kernel: Kernel, operation: PutWorkload) -> None:
    _count(kernel.users, leads(operation.old), -1)
    _count(kernel.users, leads(operation.new), 1)
    if operation.old and kernel.interfaces.get(operation.old.owner) == operation.interface:
        del kernel.interfaces[operation.old.owner]
    if operation.new is None:
        kernel.workloads.pop(operation.interface, None)
        return
    kernel.workloads[operation.interface] = operation.new
    kernel.interfaces[operation.new.owner] = operation.interface


def _replace_host(kernel: Kernel, operation: PutHost) -> None:
    key = operation.map, operation.interface
    _count(kernel.users, leads(operation.old), -1)
    _count(kernel.users, leads(operation.new), 1)
    if operation.new:
        kernel.hosts[key] = operation.new
    else:
        kernel.hosts.pop(key, None)


def _count(users: Counter[str], chains: Sequence[str], step: int) -> None:
    for chain in chains:
        users[chain] += step
        if not users[chain]:
            del users[chain]
