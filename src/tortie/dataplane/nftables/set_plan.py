"""The part of a plan that concerns named sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tortie.dataplane.nftables.address_maps import ADDRESS_MAPS, address_records
from tortie.dataplane.nftables.layout import FIXED_SETS
from tortie.dataplane.nftables.limit_rules import (
    COUNTING,
    COUNTING_SIZE,
    LIMIT_SETS,
    all_limits,
    counting_sets,
    is_counting_set,
)
from tortie.dataplane.nftables.model import Kernel, KernelSet
from tortie.dataplane.nftables.operations import ChangeElements, CreateSet, DeleteSet, GrowSet, Operation
from tortie.dataplane.nftables.rules import named_sets
from tortie.dataplane.nftables.sets import KINDS, SetKind, folded, forms, records, set_name, suitable_size
from tortie.desired.packed import difference
from tortie.desired.policy import PolicyId, SetId
from tortie.desired.sets import IPSet, Members, SetChange
from tortie.desired.state import DesiredState


class SetPlan:
    """Collects operations on sets; also tells the renderer which forms named sets have.

    Attributes:
        grown: sets that need a larger size.
        fixed: sets of the layout.
        created: new sets with their members; nothing names them before the rules of the same plan do.
        changed: changes to sets that exist.
        deleted: for the very end.
    """

    def __init__(self, desired: DesiredState, kernel: Kernel) -> None:
        self._desired = desired
        self._kernel = kernel
        self._wanted: set[str] = set(FIXED_SETS)
        self._reshaped: set[SetId] = set()
        self.grown: list[Operation] = []
        self.fixed: list[Operation] = []
        self.created: list[Operation] = []
        self.changed: list[Operation] = []
        self.deleted: list[DeleteSet] = []

    def put_fixed(self) -> None:
        """The sets of the layout."""
        self.fixed += (
            CreateSet(name, declaration) for name, declaration in FIXED_SETS.items() if name not in self._kernel.sets
        )

    def put_all(self) -> None:
        """Every desired set, those of a kind together."""
        for kind in KINDS.values():
            for ipset in self._desired.sets.values():
                if kind in forms(ipset):
                    self._put(ipset.id, kind, records(kind, ipset.members))

    def put_address_maps(self) -> None:
        """Those that have something in them."""
        for name, kind in ADDRESS_MAPS.items():
            self._put_or_drop(name, kind, address_records(kind, self._desired.network.floating))

    def put_limits(self) -> None:
        """The sets of limits that somebody has."""
        counting: set[str] = set()
        for name, after in all_limits(self._desired.endpoints.values()).items():
            self._put_or_drop(name, LIMIT_SETS[name], after)
            counting.update(counting_sets(name, after).values())
        self._wanted |= counting
        there = {name for name in self._kernel.sets if is_counting_set(name)}
        self.created += [CreateSet(name, COUNTING, COUNTING_SIZE) for name in sorted(counting - there)]
        self.deleted += [DeleteSet(name) for name in sorted(there - counting)]

    def put_changed(self, whole: Iterable[SetId], changes: Mapping[SetId, list[SetChange]]) -> None:
        """Sets to be compared, and sets of which the difference is known."""
        for set_id in sorted(whole):
            self._compare(set_id)
        for set_id, several in changes.items():
            self._follow(self._desired.sets[set_id], several)

    def policies_to_render(self) -> set[PolicyId]:
        """Policies that name a set which gained or lost an interval set."""
        if not self._reshaped:
            return set()
        return {policy.id for policy in self._desired.policies.values() if self._reshaped & set(named_sets(policy))}

    def remove_unwanted(self) -> None:
        """Every set in the kernel that was not put."""
        gone = {one.name for one in self.deleted}
        self.deleted += (DeleteSet(name) for name in self._kernel.sets if name not in self._wanted | gone)

    def has_prefixes(self, set_id: SetId, family: int) -> bool:
        """Whether an address set has prefixes of this family; a set that nobody knows is empty, but there."""
        ipset = self._desired.sets.get(set_id)
        if ipset is None:
            self._put_empty(IPSet(set_id, Members()))
            return False
        return bool(ipset.members.nets4 if family == 4 else ipset.members.nets6)

    def use_ports(self, set_id: SetId) -> None:
        """A rule names this port set."""
        if set_id not in self._desired.sets:
            self._put_empty(IPSet(set_id, Members(), ports=True))

    def _put_empty(self, ipset: IPSet) -> None:
        for kind in forms(ipset):
            if set_name(kind.field, ipset.id) not in self._wanted:
                self._put(ipset.id, kind, b"")

    def _compare(self, set_id: SetId) -> None:
        """One set as a whole; forms that it no longer has are deleted."""
        ipset = self._desired.sets.get(set_id)
        wanted = list(forms(ipset)) if ipset else []
        for kind in KINDS.values():
            if ipset and kind in wanted:
                self._put(set_id, kind, records(kind, ipset.members))
            else:
                self._drop(set_id, kind)

    def _follow(self, ipset: IPSet, changes: list[SetChange]) -> None:
        """Only what changed, without looking at the other members."""
        for kind in forms(ipset):
            after = records(kind, ipset.members)
            old = self._kernel.sets.get(set_name(kind.field, ipset.id))
            if old is None or kind.declaration.interval:
                self._put(ipset.id, kind, after)
            else:
                self._change(set_name(kind.field, ipset.id), kind, old, (*folded(changes, kind), after))
        for kind in KINDS.values():
            if kind.declaration.interval and not getattr(ipset.members, kind.field):
                self._drop(ipset.id, kind)

    def _put(self, set_id: SetId, kind: SetKind, after: bytes) -> None:
        name = set_name(kind.field, set_id)
        if kind.declaration.interval and name not in self._kernel.sets:
            self._reshaped.add(set_id)
        self._put_named(name, kind, after)

    def _put_or_drop(self, name: str, kind: SetKind, after: bytes) -> None:
        if after:
            self._put_named(name, kind, after)
        elif name in self._kernel.sets:
            self.deleted.append(DeleteSet(name))

    def _put_named(self, name: str, kind: SetKind, after: bytes) -> None:
        self._wanted.add(name)
        old = self._kernel.sets.get(name)
        if old is None:
            self._create(name, kind, after)
        elif old.records != after:
            added, removed = difference(after, old.records, kind.width), difference(old.records, after, kind.width)
            self._change(name, kind, old, (added, removed, after))

    def _create(self, name: str, kind: SetKind, after: bytes) -> None:
        size = 0 if kind.declaration.interval else suitable_size(len(after) // kind.width, 0)
        self.created.append(CreateSet(name, kind.declaration, size))
        if after:
            self.created.append(ChangeElements(name, after, b"", after))

    def _change(self, name: str, kind: SetKind, old: KernelSet, change: tuple[bytes, bytes, bytes]) -> None:
        added, removed, after = change
        if not (added or removed):
            return
        count = len(after) // kind.width
        if old.size and count > old.size:
            self.grown.append(GrowSet(name, kind.declaration, suitable_size(count, old.size)))
        self.changed.append(ChangeElements(name, added, removed, after))

    def _drop(self, set_id: SetId, kind: SetKind) -> None:
        name = set_name(kind.field, set_id)
        if name in self._kernel.sets and name not in self._wanted:
            self.deleted.append(DeleteSet(name))
            if kind.declaration.interval:
                self._reshaped.add(set_id)
