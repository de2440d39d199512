"""IP sets in use: which they are, what they hold, and how they differ from what was last told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from pyroaring import BitMap

from tortie.base.addresses import Cidr
from tortie.calculation.columns import Address, Columns, Row
from tortie.calculation.labels import LabelChanges, LabelIndex
from tortie.calculation.selections import Selection, SelectionChange, Selections
from tortie.calculation.services import ServiceName, Services
from tortie.calculation.setindex import port_suffix
from tortie.calculation.steps import Steps
from tortie.desired.packed import pack
from tortie.desired.policy import SetId
from tortie.desired.sets import IPSet, Members, SetChange
from tortie.selector.parser import Selector

Member = Address
"""A packed address, a prefix, or a packed entry of address, protocol and port."""


class SetSpec(msgspec.Struct, frozen=True, gc=False):
    """What a set holds: addresses or, with `ports`, entries of address, protocol and port.

    Args:
        selector: whose; None when they are a service's.
        port: name of the ports of what the selector selects.
        protocol: restricts the ports that count, None for any.
        service: whose backends.
    """

    id: SetId
    selector: Selector | None = None
    ports: bool = False
    port: str = ""
    protocol: int | None = None
    service: ServiceName = ""


class SetOutput(msgspec.Struct):
    """What a flush has to say about sets."""

    sets: list[IPSet] = msgspec.field(default_factory=list)
    changes: list[SetChange] = msgspec.field(default_factory=list)
    removed: list[SetId] = msgspec.field(default_factory=list)


class IPSets:
    """Sets are counted by their users; one with no user left is gone at the next flush."""

    def __init__(self, columns: Columns, labels: LabelIndex, services: Services) -> None:
        self.selections = Selections(labels, columns.universe)
        self._columns = columns
        self._services = services
        self._users: dict[SetId, int] = {}
        self._specs: dict[SetId, SetSpec] = {}
        self._live: dict[SetId, Selection | None] = {}
        self._by_selector: dict[str, set[SetId]] = {}
        self._by_service: dict[ServiceName, set[SetId]] = {}
        self._dirty: set[SetId] = set()

    def specs(self) -> Mapping[SetId, SetSpec]:
        """What the sets in use hold."""
        return dict(self._specs)

    def acquire(self, specs: Iterable[SetSpec]) -> None:
        """Somebody refers to these sets."""
        for spec in specs:
            self._specs[spec.id] = spec
            self._users[spec.id] = self._users.get(spec.id, 0) + 1
            self._dirty.add(spec.id)

    def release(self, specs: Iterable[SetSpec]) -> None:
        """Somebody refers to these sets no longer."""
        for spec in specs:
            self._users[spec.id] -= 1
            self._dirty.add(spec.id)

    def flush(self, changes: LabelChanges) -> Steps[SetOutput]:
        """The exact difference since the last flush. Neither columns nor services must be settled yet."""
        output = SetOutput()
        dirty, self._dirty = sorted(self._dirty), set()
        output.removed += [set_id for set_id in dirty if not self._users[set_id] and self._drop(set_id)]
        for change in (yield from self.selections.refresh(changes)):
            output.changes += self._changes(change, changes.items)
            yield
        for service in self._services.changed:
            output.changes += self._service_changes(service)
        for set_id in dirty:
            if set_id in self._users and set_id not in self._live:
                output.sets.append(self._create(set_id))
                yield
        output.changes.sort(key=lambda change: change.id)
        return output

    def is_empty(self) -> bool:
        """Whether no set is held."""
        held = (self._users, self._specs, self._live, self._by_selector, self._by_service, self._dirty)
        return not (any(held) or self.selections)

    def _create(self, set_id: SetId) -> IPSet:
        spec = self._specs[set_id]
        if spec.selector is None:
            self._live[set_id] = None
            self._by_service.setdefault(spec.service, set()).add(set_id)
            return IPSet(set_id, _pack(self._services.members(spec.service, spec.ports)), spec.ports)
        selection = self._live[set_id] = self.selections.acquire(spec.selector)
        self._by_selector.setdefault(spec.selector.canonical, set()).add(set_id)
        if not spec.ports:
            return IPSet(set_id, self._columns.members(selection.items))
        rows = (self._columns.row(item) for item in selection.items.to_array().tolist())
        return IPSet(set_id, _pack(member for row in rows for member in _ports(row, spec)), ports=True)

    def _drop(self, set_id: SetId) -> bool:
        """Forget a set; whether anybody was told of it."""
        del self._users[set_id]
        spec = self._specs.pop(set_id)
        known = set_id in self._live
        selection = self._live.pop(set_id, None)
        if selection is not None and spec.selector is not None:
            self.selections.release(selection)
            _unindex(self._by_selector, spec.selector.canonical, set_id)
        elif known:
            _unindex(self._by_service, spec.service, set_id)
        return known

    def _service_changes(self, service: ServiceName) -> Iterator[SetChange]:
        for set_id in sorted(self._by_service.get(service, ())):
            difference = self._services.difference(service, self._specs[set_id].ports)
            if difference.added or difference.removed:
                yield SetChange(set_id, added=_pack(difference.added), removed=_pack(difference.removed))

    def _changes(self, change: SelectionChange, changed: BitMap) -> Iterator[SetChange]:
        for set_id in sorted(self._by_selector[change.selection.selector.canonical]):
            difference = self._difference(self._specs[set_id], change, changed)
            if difference is not None:
                yield difference

    def _difference(self, spec: SetSpec, change: SelectionChange, changed: BitMap) -> SetChange | None:
        members = _reader(spec)
        columns = self._columns
        now = {member for item in change.now for member in members(columns.row(item))}
        before = {member for item in change.before for member in members(columns.row_before(item))}

        def held_elsewhere(member: Member) -> bool:
            # Among items that did not change, so the answer is the same before and now.
            others = columns.owners(_address(member, spec.ports))
            return any(
                other not in changed and other in change.selection.items and member in members(columns.row(other))
                for other in others
            )

        added = [member for member in now - before if not held_elsewhere(member)]
        removed = [member for member in before - now if not held_elsewhere(member)]
        if not added and not removed:
            return None
        return SetChange(spec.id, added=_pack(added), removed=_pack(removed))


def _unindex(table: dict[str, set[SetId]], key: str, set_id: SetId) -> None:
    table[key].discard(set_id)
    if not table[key]:
        del table[key]


def _reader(spec: SetSpec) -> Callable[[Row], Iterable[Member]]:
    """What a row contributes to the set."""
    if not spec.ports:
        return Row.addresses
    return lambda row: _ports(row, spec)


def _ports(row: Row, spec: SetSpec) -> list[Member]:
    suffixes = [
        port_suffix(port.protocol, port.port)
        for port in row.ports
        if port.name == spec.port and spec.protocol in (None, port.protocol)
    ]
    return [host + suffix for suffix in suffixes for host in row.hosts()]


def _address(member: Member, ports: bool) -> Address:
    if ports and isinstance(member, bytes):
        return member[:-3]
    return member


def _pack(members: Iterable[Member]) -> Members:
    records: dict[int, list[bytes]] = {4: [], 16: [], 7: [], 19: []}
    nets: set[Cidr] = set()
    for member in members:
        if isinstance(member, bytes):
            records[len(member)].append(member)
        else:
            nets.add(member)
    return Members(
        hosts4=pack(records[4], 4),
        hosts6=pack(records[16], 16),
        nets4=tuple(sorted(net for net in nets if net.family == 4)),
        nets6=tuple(sorted(net for net in nets if net.family == 6)),
        ports4=pack(records[7], 7),
        ports6=pack(records[19], 19),
    )
