"""What a packet costs: from workload to workload on one host, through our table, one written by hand, and none.

Prints packets for each second of processor time (median and best), nanoseconds a packet, sending and receiving
included, and how much slower ours is than the table written by hand. Datagrams of 64 bytes go one by one, in turns
with all others; the kernel carries each to its end before the next is sent, in the time of the sender, so that other
programs hardly matter. `walk` is a flow that nobody has answered: every packet is asked of every policy, of which the
last allows it. `established` is a flow that was answered. Every datagram must arrive. Arguments: numbers of policies.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tortie.base.addresses import Cidr
from tortie.dataplane.nftables.target import NftablesTarget
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import Action, Policy, PolicyId, PolicyList, PortRange, Rule, Side, TierPolicies
from tortie.desired.sets import IPSet, Members
from tortie.desired.state import DesiredState
from tortie.netlink.namespace import anonymous_namespace, inside

POLICIES = (1, 100, 1000)
ENDPOINTS = 200
MEMBERS = 20
ROUNDS = 7
SECONDS = 0.25
AT_ONCE = 64
UDP, PORT = 17, 9000
SENDER, RECEIVER = "10.65.0.1", "10.65.0.2"
PATHS = ("walk", "established")


class _Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_char_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr of a connected socket: only the data counts."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_Vector)),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


class Way:
    """Two workloads on a host of their own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._sender, self._host, self._receiver = (anonymous_namespace() for _ in range(3))
        self._wire()
        self._sockets = {path: self._socket(20000 + number) for number, path in enumerate(PATHS)}
        self._messages = _messages()
        self._send = ctypes.CDLL(None, use_errno=True).sendmmsg
        self.rates: dict[str, list[float]] = {path: [] for path in PATHS}

    def load(self, program: Callable[[], None]) -> None:
        """Program the host."""
        with inside(self._host):
            program()
        with inside(self._receiver), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as answering:
            answering.bind((RECEIVER, PORT))
            for one in self._sockets.values():
                one.send(b"first")
                answering.recv(10)
            answering.sendto(b"answer", self._sockets["established"].getsockname())
        # Counts at the receiver and ends there, before a socket has to be found.
        _nft(self._receiver, "add table inet sink")
        _nft(self._receiver, "add chain inet sink in { type filter hook prerouting priority -400; }")
        _nft(self._receiver, f"add rule inet sink in udp dport {PORT} counter drop")

    def measure(self, path: str) -> None:
        """Send for a while, and check that all of it arrived."""
        before = self._arrived()
        descriptor, sent, until, began = (
            self._sockets[path].fileno(),
            0,
            time.perf_counter() + SECONDS,
            time.thread_time(),
        )
        while time.perf_counter() < until:
            sent += self._send(descriptor, self._messages, AT_ONCE, 0)
        spent = time.thread_time() - began
        assert self._arrived() - before == sent, f"{self.name}: of {sent} {self._arrived() - before} arrived"
        self.rates[path].append(sent / spent)

    def close(self) -> None:
        """Take it all away."""
        for one in self._sockets.values():
            one.close()
        for one in (self._sender, self._host, self._receiver):
            os.close(one)

    def _arrived(self) -> int:
        with inside(self._receiver):
            shown = subprocess.run(
                ["nft", "-j", "list", "chain", "inet", "sink", "in"], check=True, capture_output=True
            )
        rule = next(one["rule"] for one in json.loads(shown.stdout)["nftables"] if "rule" in one)
        return next(int(one["counter"]["packets"]) for one in rule["expr"] if "counter" in one)

    def _socket(self, port: int) -> socket.socket:
        with inside(self._sender):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((SENDER, port))
        one.connect((RECEIVER, PORT))
        return one

    def _wire(self) -> None:
        with inside(self._host):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for interface, address, namespace in (("cali1", SENDER, self._sender), ("cali2", RECEIVER, self._receiver)):
            with inside(self._host):
                where = f"/proc/{os.getpid()}/fd/{namespace}"
                _ip("link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", where)
                _ip("link", "set", interface, "up")
                _ip("route", "add", address, "dev", interface)
                Path(f"/proc/sys/net/ipv4/conf/{interface}/proxy_arp").write_text("1")
                Path(f"/proc/sys/net/ipv4/neigh/{interface}/proxy_delay").write_text("0")
                _ip("addr", "add", "169.254.1.1/32", "dev", interface)
            with inside(namespace):
                _ip("link", "set", "eth0", "up")
                _ip("addr", "add", f"{address}/32", "dev", "eth0")
                _ip("route", "add", "169.254.1.1", "dev", "eth0", "scope", "link")
                _ip("route", "add", "default", "via", "169.254.1.1")


def ours(policies: int) -> None:
    """Policies about the receiver, each with a rule about a set and a port; the last is about the sender."""
    state = DesiredState()
    everything = Policy(PolicyId("Profile", "", "open"), "", (Rule(Action.ALLOW, 0),), (Rule(Action.ALLOW, 0),))
    state.policies[everything.id] = everything
    for number in range(policies):
        name, port = f"s:{number}", PORT - policies + number + 1
        state.sets[name] = IPSet(name, Members(hosts4=members(number, policies)))
        rule = Rule(
            Action.ALLOW, 0, 4, UDP, source=Side(sets=(name,)), destination=Side(ports=(PortRange(port, port),))
        )
        one = Policy(PolicyId("NetworkPolicy", "shop", f"p{number}"), "default", (rule,))
        state.policies[one.id] = one
    named = tuple(one for one in state.policies if one.kind == "NetworkPolicy")
    guarded, free = PolicyList((TierPolicies("default", named, Action.DENY),)), PolicyList((), (everything.id,))
    for interface, address in endpoints():
        one = EndpointId("shop", interface)
        governing = guarded if address == RECEIVER else free
        state.endpoints[one] = Endpoint(one, interface, (Cidr.host(address),), governing, free)
    target = NftablesTarget()
    target.apply(target.plan(state, target.read(), None).operations)
    target.connection.close()


def by_hand(policies: int) -> None:
    """What an administrator would write to the same end: one chain for each workload, a rule for each policy."""
    lines = ["table inet hand {"]
    rules = []
    for number in range(policies):
        found = members(number, policies)
        text = ", ".join(socket.inet_ntoa(found[at : at + 4]) for at in range(0, len(found), 4))
        lines.append(f"set s{number} {{ type ipv4_addr; elements = {{ {text} }}; }}")
        rules.append(f"udp dport {PORT - policies + number + 1} ip saddr @s{number} counter accept")
    known = list(endpoints())
    sources = ", ".join(f'"{interface}" . {address}' for interface, address in known)
    lines.append(f"set sources {{ type ifname . ipv4_addr; elements = {{ {sources} }}; }}")
    lines += ["chain open { counter accept; }", "chain guarded {", *rules, "counter drop", "}"]
    chains = ", ".join(
        f'"{interface}" : jump {"guarded" if address == RECEIVER else "open"}' for interface, address in known
    )
    senders = ", ".join(f'"{interface}" : jump sending' for interface, _ in known)
    lines.append(f"map receivers {{ type ifname : verdict; elements = {{ {chains} }}; }}")
    lines += ["chain sending { counter return; }"]
    lines.append(f"map senders {{ type ifname : verdict; elements = {{ {senders} }}; }}")
    lines += ["chain sources-only {", "type filter hook prerouting priority raw;"]
    lines += ['iifname != "cali*" accept', "iifname . ip saddr @sources accept", "counter drop", "}"]
    lines += ["chain forward {", "type filter hook forward priority filter;"]
    lines += ["ct state vmap { established : accept, related : accept, invalid : drop }"]
    lines += ["iifname vmap @senders"]
    lines += ["oifname vmap @receivers", 'oifname "cali*" counter drop', "}", "}"]
    subprocess.run(["nft", "-f", "-"], input="\n".join(lines), text=True, check=True)


def tracking() -> None:
    """Nothing but what the kernel does as soon as some rule asks for the state of connections."""
    text = "table inet t {\nchain c {\ntype filter hook forward priority filter;\nct state invalid drop\n}\n}"
    subprocess.run(["nft", text], check=True)


def nothing() -> None:
    """No rules."""


def endpoints() -> Iterator[tuple[str, str]]:
    """Interfaces and addresses of the workloads of a host; only the first two are there."""
    for number in range(1, ENDPOINTS + 1):
        yield f"cali{number}", f"10.65.0.{number}"


def members(number: int, policies: int) -> bytes:
    """Packed addresses; the sender is in all sets, so that only the port tells rules apart, and only the last fits."""
    others = (0x0A420000 + (number * MEMBERS + one) % (policies * MEMBERS) for one in range(MEMBERS - 1))
    return b"".join(sorted((socket.inet_aton(SENDER), *(one.to_bytes(4, "big") for one in others))))


@contextmanager
def ways(numbers: list[int]) -> Iterator[list[Way]]:
    """Each on a host of its own, ready."""
    programs: list[tuple[str, Callable[[], None]]] = [("no rules", nothing), ("tracking alone", tracking)]
    for number in numbers:
        programs.append((f"by hand, {number}", lambda number=number: by_hand(number)))
        programs.append((f"ours, {number}", lambda number=number: ours(number)))
    with ExitStack() as stack:
        found = []
        for name, program in programs:
            way = Way(name)
            stack.callback(way.close)
            way.load(program)
            found.append(way)
        yield found


def report(found: list[Way], numbers: list[int]) -> None:
    """All figures."""
    best = {}
    for path in PATHS:
        for way in found:
            rates = way.rates[path]
            best[path, way.name] = 1e9 / max(rates)
            print(
                f"{path:<12} {way.name:<16} packets/s median {statistics.median(rates):10,.0f}"
                f"  best {max(rates):10,.0f}  {best[path, way.name]:9.0f} ns a packet"
            )
        for number in numbers:
            mine, theirs = best[path, f"ours, {number}"], best[path, f"by hand, {number}"]
            print(f"{path:<12} {number} policies: ours takes {mine / theirs:.2f} times as long as by hand")
        print()


def _messages() -> ctypes.Array[_Message]:
    messages = (_Message * AT_ONCE)()
    for one in messages:
        one.vectors, one.count = ctypes.pointer(_Vector(bytes(36), 36)), 1
    return messages


def _nft(namespace: int, command: str) -> None:
    with inside(namespace):
        subprocess.run(["nft", command], check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def main() -> None:
    numbers = [int(one) for one in sys.argv[1:]] or list(POLICIES)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with ways(numbers) as found:
        for _ in range(ROUNDS):
            for path in PATHS:
                for way in found:
                    way.measure(path)
    report(found, numbers)


if __name__ == "__main__":
    main()
