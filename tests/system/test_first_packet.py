"""A workload that sends, and is sent to, from the first instant on: nothing passes before its policy, or after it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tortie.api.resource import ResourceKey
from tortie.lab.probe.model import Transport
from tortie.netlink.namespace import inside

if TYPE_CHECKING:
    from conftest import World
else:
    World = Any

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

PORT, DENIED = 5555, 5556
ROUNDS = 4
EARLY = "neighbour"
"""Is attached and detached while it talks; by its own policy it reaches only one port, and nobody reaches it."""
CLOSED = """
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: closed}
spec:
  selector: projectcalico.org/namespace == 'default' && role == 'stranger'
  types: [Ingress, Egress]
  ingress:
    - {action: Allow, protocol: TCP}
  egress:
    - {action: Allow, protocol: UDP, destination: {ports: [5555]}}
"""
CLOSED_KEY = ResourceKey("GlobalNetworkPolicy", "", "closed")


class Mailbox:
    """A port of a workload, and who has written to it."""

    def __init__(self, world: World, name: str, family: int, port: int) -> None:
        with inside(world.lab.namespace(name)):
            self._socket = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
        if family == 6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._socket.bind(("", port))
        self._socket.setblocking(False)
        self.senders: list[str] = []

    def gather(self) -> None:
        """Read what is there, or enough of it."""
        with suppress(BlockingIOError):
            for _ in range(100_000):
                self.senders.append(self._socket.recvfrom(100)[1][0])

    def close(self) -> None:
        self._socket.close()


@contextmanager
def talking(world: World, name: str, *addresses: str) -> Iterator[None]:
    """A workload sends datagrams as fast as it can, whether it has an interface yet or not."""
    speakers = []
    for address in addresses:
        with inside(world.lab.namespace(name)):
            kind = socket.AF_INET6 if ":" in address else socket.AF_INET
            speakers += [(socket.socket(kind, socket.SOCK_DGRAM), (address, port)) for port in (PORT, DENIED)]
    stop = threading.Event()

    def talk() -> None:
        while not stop.wait(0.0002):
            for speaker, place in speakers:
                with suppress(OSError):
                    speaker.sendto(b"x", place)

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for speaker, _ in speakers:
            speaker.close()


def test_no_packet_passes_before_its_policy_stands_nor_after_it(settled: World) -> None:
    lab = settled.lab
    settled.apply(CLOSED)
    settled.until(lambda: not lab.probe(settled.probe("stranger", EARLY, 4, Transport.UDP))[0].allowed, "in force")
    own = lab.attachment(EARLY).addresses
    with ExitStack() as stack:
        allowed, denied = ([Mailbox(settled, "client", family, port) for family in (4, 6)] for port in (PORT, DENIED))
        inward = [Mailbox(settled, EARLY, family, PORT) for family in (4, 6)]
        for box in (*allowed, *denied, *inward):
            stack.callback(box.close)
        lab.detach(EARLY)
        stack.enter_context(talking(settled, EARLY, *(settled.address("client", family) for family in (4, 6))))
        stack.enter_context(talking(settled, "server", *own))
        for _ in range(ROUNDS):
            lab.attach(EARLY, "h1", own)
            settled.until(lambda: all(heard(box, own) for box in allowed), "what may, arrives")
            lab.detach(EARLY)
            for box in allowed:
                box.gather()
                box.senders.clear()
        for box in (*denied, *inward):
            box.gather()
    lab.attach(EARLY, "h1", own)
    settled.delete(CLOSED_KEY)
    assert [len(box.senders) for box in (*denied, *inward)] == [0] * 4


def heard(box: Mailbox, senders: tuple[str, ...]) -> bool:
    """Whether one of them has written."""
    box.gather()
    return not set(box.senders).isdisjoint(senders)
