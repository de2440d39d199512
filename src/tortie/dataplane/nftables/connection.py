"""Our table's connection to the kernel: sockets, the mirror that is known to be right, and the lock against others.

Every commit is made against a generation. When the generation has moved on, events tell whether it was our table
that somebody changed: if not, the commit is simply repeated, so programs that are busy with tables of their own do
not disturb us.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from tortie.base.errors import KernelError
from tortie.dataplane.nftables.model import Kernel
from tortie.dataplane.nftables.reading import read_kernel
from tortie.netlink.batch import Request
from tortie.netlink.nftables import Table
from tortie.netlink.nftables_batch import commit, generation, is_stale, next_generation
from tortie.netlink.nftables_dump import RuleInfo, read_rules
from tortie.netlink.nftables_events import TableWatch, is_foreign_change
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket
from tortie.netlink.wire import Message

_ATTEMPTS = 8
_BULK = 100
"""Requests from which on a commit is made without listening to the events of its own."""


class Connection:
    """Opened by the first call that needs it, in the network namespace of that thread; for one thread only."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._opened: NetlinkSocket | None = None
        self._watch: TableWatch | None = None
        self._mirror: Kernel | None = None
        self._committed = 0

    @property
    def mirror(self) -> Kernel | None:
        """What the kernel is believed to have; None while that is unknown."""
        return self._mirror

    def close(self) -> None:
        """Close the sockets; the thread that used them has ended."""
        self._stop_watching()
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def is_drift(self, message: Message) -> bool:
        """Whether an nf_tables event tells that somebody else changed our table. Raises TruncatedMessage."""
        ports = (self._opened.port,) if self._opened else ()
        return is_foreign_change(message, self._table, ports)

    def read(self) -> Kernel:
        """The mirror, read anew unless it is known to be right. Raises KernelError."""
        now = self._now()
        if self._mirror and self._is_unchanged(self._mirror.generation, now):
            self._mirror.generation = now
            return self._mirror
        for _ in range(_ATTEMPTS):
            mirror = read_kernel(self._socket, self._table)
            until = self._now()
            if self._is_unchanged(now, until):
                mirror.generation = until
                self._mirror = mirror
                return mirror
            now = until
        raise KernelError(f"read table {self._table.name}", errno.EINTR, "somebody else changes it all the time")

    def rules(self, chain: str = "") -> list[RuleInfo]:
        """Rules of our table, or of one chain, with their counters. Raises KernelError."""
        return read_rules(self._socket, self._table, chain)

    def commit(self, transactions: Iterable[Sequence[Request]], base: int | None) -> None:
        """Carry out transactions one after the other, provided that nobody else changed our table since `base`.

        Raises:
            KernelError: refused, and what the kernel has is unknown; ERESTART when somebody did.
        """
        self._mirror = None
        expected = self._now() if base is None else base
        for requests in transactions:
            expected = self._commit(requests, expected)
        self._committed = expected

    def remember(self, mirror: Kernel) -> Kernel:
        """This is what the kernel has after the last commit."""
        mirror.generation = self._committed
        self._mirror = mirror
        return mirror

    @property
    def _socket(self) -> NetlinkSocket:
        if self._opened is None:
            self._opened = NetlinkSocket(NETLINK_NETFILTER)
        return self._opened

    def _now(self) -> int:
        """The present generation, from which on others are watched."""
        if self._watch is None:
            self._watch = TableWatch(self._socket, self._table)
        return generation(self._socket)

    def _is_unchanged(self, since: int, until: int) -> bool:
        return self._watch is not None and self._watch.is_unchanged(since, until)

    def _commit(self, requests: Sequence[Request], expected: int) -> int:
        """Returns the generation that the commit made."""
        if len(requests) > _BULK:
            self._stop_watching()
        for _ in range(_ATTEMPTS):
            try:
                commit(self._socket, requests, expected)
            except KernelError as error:
                now = self._now()
                if not is_stale(error) or not self._is_unchanged(expected, now):
                    raise
                expected = now
            else:
                # A commit that turned out to change nothing makes no generation.
                return expected if self._now() == expected else next_generation(expected)
        raise KernelError("commit nftables batch", errno.ERESTART, "others commit all the time")

    def _stop_watching(self) -> None:
        if self._watch:
            self._watch.close()
            self._watch = None
