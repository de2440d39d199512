"""From operations to the requests that the kernel understands, and where a long plan may be cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tortie.dataplane.nftables.layout import FIXED_SETS, RECEIVERS, SENDERS, WORKLOADS, interface_key
from tortie.dataplane.nftables.model import KernelRule, Workload
from tortie.dataplane.nftables.named_kinds import kind_of
from tortie.dataplane.nftables.operations import (
    Against,
    ChangeElements,
    CreateChain,
    CreateSet,
    CreateTable,
    DeleteChain,
    DeleteSet,
    DeleteTable,
    FillChain,
    GrowSet,
    Operation,
    PutHost,
    PutWorkload,
)
from tortie.netlink.batch import Request
from tortie.netlink.nftables import (
    Table,
    add_elements,
    delete_chain,
    delete_elements,
    delete_set,
    delete_table,
    element,
    flush_chain,
    interval_elements,
    new_anonymous_set,
    new_chain,
    new_rule,
    new_set,
    new_table,
    plain_elements,
    verdict_element,
)
from tortie.netlink.nftables_expressions import Verdict

COMMIT_BYTES = 2_000_000
"""About how much of the filling of new sets goes into one transaction: some 100,000 elements."""


def transactions(table: Table, operations: Sequence[Operation]) -> Iterator[list[Request]]:
    """The requests of a plan, cut where that is harmless.

    The first transaction makes the table with its base chains, which drop what is not known; the filling of new
    sets is spread over several; all that changes verdicts is the last one. A table that takes the place of another
    comes whole, for until then nothing of it would hold that was said of hosts.
    """
    growing = [one for one in operations if isinstance(one, GrowSet)]
    if growing:
        yield list(_packed(table, growing))
    operations = [one for one in operations if not isinstance(one, GrowSet)]
    length = _harmless(operations)
    pending: list[Request] = []
    size = 0
    for operation in operations[:length]:
        for request in requests(table, operation):
            pending.append(request)
            size += len(request.payload)
            if size > COMMIT_BYTES and isinstance(operation, ChangeElements):
                yield pending
                pending, size = [], 0
    pending += _packed(table, operations[length:])
    if pending:
        yield pending


def requests(table: Table, operation: Operation) -> Iterator[Request]:
    """The requests of one operation; chains must be flushed before those that lead to them are deleted."""
    match operation:
        case Against():
            return
        case DeleteTable():
            yield delete_table(table)
        case CreateTable():
            yield new_table(table)
        case CreateSet(name, declaration, size) | GrowSet(name, declaration, size):
            yield new_set(table, name, declaration, size)
        case ChangeElements():
            yield from _change(table, operation)
        case DeleteSet(name):
            yield delete_set(table, name)
        case CreateChain(name, hook):
            yield new_chain(table, name, hook)
        case FillChain():
            yield from _fill(table, operation)
        case PutWorkload():
            yield from _workload(table, operation)
        case PutHost():
            yield from _host(table, operation)
        case DeleteChain(name):
            yield delete_chain(table, name)


def _harmless(operations: Sequence[Operation]) -> int:
    """How many operations at the beginning change no verdict, but for the making of a table where none is."""
    made: set[str] = set()
    for position, operation in enumerate(operations):
        match operation:
            case Against() | CreateTable() | CreateChain() | FillChain(flush=False):
                continue
            case CreateSet(name):
                made.add(name)
            case ChangeElements(name) if name in made:
                continue
            case _:
                return position
    return len(operations)


def _packed(table: Table, operations: Sequence[Operation]) -> Iterator[Request]:
    doomed = [one.name for one in operations if isinstance(one, DeleteChain)]
    for operation in operations:
        if doomed and isinstance(operation, DeleteChain):
            yield from (flush_chain(table, name) for name in doomed)
            doomed = []
        yield from requests(table, operation)


def _change(table: Table, operation: ChangeElements) -> Iterator[Request]:
    """Removals first: a new interval may overlap an old one."""
    kind = kind_of(operation.name)
    if kind is None:
        raise AssertionError(f"{operation.name} has no records")
    if operation.removed:
        yield from delete_elements(table, operation.name, kind.elements(operation.removed))
    if operation.added:
        yield from add_elements(table, operation.name, kind.elements(operation.added))


def _fill(table: Table, operation: FillChain) -> Iterator[Request]:
    if operation.flush:
        yield flush_chain(table, operation.name)
    for rule in operation.rules:
        yield from _rule(table, operation.name, rule)


def _rule(table: Table, chain: str, rule: KernelRule) -> Iterator[Request]:
    for one in rule.sets:
        pack = interval_elements if one.declaration.interval else plain_elements
        yield new_anonymous_set(table, one.name, one.declaration)
        yield from add_elements(table, one.name, pack(one.records, one.declaration.key_length))
    yield new_rule(table, chain, rule.expressions, rule.tag)


def _workload(table: Table, operation: PutWorkload) -> Iterator[Request]:
    """Only the elements that differ; removals first, because a key can stand in a map only once."""
    key = interface_key(operation.interface)
    old = _elements(key, operation.old or Workload())
    new = _elements(key, operation.new or Workload())
    for name in FIXED_SETS:
        yield from delete_elements(table, name, [gone for whole, gone in old[name].items() if whole not in new[name]])
    for name in FIXED_SETS:
        yield from add_elements(table, name, [come for come in new[name] if come not in old[name]])


def _host(table: Table, operation: PutHost) -> Iterator[Request]:
    key = interface_key(operation.interface)
    if operation.old:
        yield from delete_elements(table, operation.map, [element(key)])
    if operation.new:
        yield from add_elements(table, operation.map, [verdict_element(key, Verdict.GOTO, operation.new)])


def _elements(key: bytes, workload: Workload) -> dict[str, dict[bytes, bytes]]:
    """The elements of one interface in each set of the layout: as they are added, to how they are deleted."""
    found: dict[str, dict[bytes, bytes]] = {name: {} for name in FIXED_SETS}
    if workload.owner:
        found[WORKLOADS][element(key, comment=f"{workload.owner:016x}".encode())] = element(key)
    for name, chain in ((SENDERS, workload.egress), (RECEIVERS, workload.ingress)):
        if chain:
            found[name][verdict_element(key, Verdict.GOTO, chain)] = element(key)
    for source in workload.sources:
        whole = element(source.key, source.end)
        found[source.set][whole] = whole
    return found
