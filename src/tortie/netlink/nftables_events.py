"""Noticing that someone else changed a table (nf_tables multicast events)."""

from __future__ import annotations

from collections.abc import Collection

from tortie.base.errors import KernelError
from tortie.netlink.nftables import EVENTS, NEWGEN, SUBSYSTEM, Table
from tortie.netlink.nftables_batch import generation, generation_id, next_generation
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket
from tortie.netlink.wire import Message, TruncatedMessage, as_text, attributes

_HALF = 1 << 31


def is_foreign_change(message: Message, table: Table, own_ports: Collection[int]) -> bool:
    """Whether an event tells of a change to this table by a socket that is not one of ours.

    Raises:
        TruncatedMessage: it is no well-formed event.
    """
    if message.type & 0xFF00 != SUBSYSTEM or message.type == NEWGEN or message.port in own_ports:
        return False
    if len(message.payload) < 4:
        raise TruncatedMessage("an event without its header")
    return message.payload[0] == table.family and as_text(attributes(message.payload, 4).get(1, b"")) == table.name


def is_later(one: int, other: int) -> bool:
    """Whether one generation comes after another; numbers wrap at 32 bits."""
    return 0 < (one - other) & 0xFFFFFFFF < _HALF


class TableWatch:
    """Remembers at which generation somebody else last changed a table, so that other tables' changes cost nothing.

    Opened in the network namespace of the calling thread.

    Args:
        socket: ours, whose own changes do not count.
    """

    def __init__(self, socket: NetlinkSocket, table: Table) -> None:
        self._socket = socket
        self._table = table
        self._events = NetlinkSocket(NETLINK_NETFILTER, (EVENTS,))
        self._seen = generation(socket)
        self._changed = self._seen

    def close(self) -> None:
        """Hear no more."""
        self._events.close()

    def is_unchanged(self, since: int, until: int) -> bool:
        """Whether nobody else changed the table after generation `since`, up to `until`.

        Unsure, such as when events were lost or when `since` was before watching began, means no.

        Raises:
            KernelError: the generation cannot be asked for.
        """
        while is_later(until, self._seen):
            self._hear()
        return not is_later(self._changed, since)

    def _hear(self) -> None:
        try:
            for message in self._events.receive():
                self._take(message)
        except (KernelError, TruncatedMessage):
            # What was missed may have been a change.
            self._seen = self._changed = generation(self._socket)

    def _take(self, message: Message) -> None:
        if message.type == NEWGEN:
            self._seen = generation_id(message.payload)
        elif is_foreign_change(message, self._table, (self._socket.port,)):
            # Counted with the next generation: the event of a commit comes before that of its generation.
            self._changed = next_generation(self._seen)
