"""nf_tables messages, against the kernel and against nft(8), and its decoders on arbitrary bytes."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tortie.base.errors import KernelError
from tortie.netlink import nftables_dump as dump
from tortie.netlink import nftables_expressions as x
from tortie.netlink.batch import Request
from tortie.netlink.namespace import anonymous_namespace, inside
from tortie.netlink.nftables import (
    INET,
    Hook,
    SetDeclaration,
    Table,
    add_elements,
    delete_elements,
    delete_set,
    element,
    flush_chain,
    interval_elements,
    new_chain,
    new_rule,
    new_set,
    new_table,
    packed_comment,
    plain_elements,
    verdict_element,
)
from tortie.netlink.nftables_batch import commit, generation, generation_id, is_stale
from tortie.netlink.nftables_events import TableWatch, is_foreign_change, is_later
from tortie.netlink.socket import NETLINK_NETFILTER, NetlinkSocket
from tortie.netlink.wire import Message, TruncatedMessage, attribute

TABLE = Table(INET, "tortie")
IPV4 = SetDeclaration(7, 4)
NETS = SetDeclaration(7, 4, interval=True)
SERVICE = SetDeclaration(7 << 12 | 12 << 6 | 13, 12)
NAMES = SetDeclaration(41, 16, verdicts=True)
RANGES = SetDeclaration(41 << 6 | 7, 20, interval=True, fields=(16, 4))
STATE = x.conntrack(x.Conntrack.STATE) + x.bitwise(x.host32(6), bytes(4))
FORMS = {
    'iifname "cali*" drop': x.meta(x.Meta.IIFNAME) + x.compare(b"cali") + x.verdict(x.Verdict.DROP),
    "ip saddr 10.0.0.0/9 accept": x.meta(x.Meta.NFPROTO)
    + x.compare(b"\x02")
    + x.payload(x.NETWORK, 12, 4)
    + x.bitwise(b"\xff\x80\0\0", bytes(4))
    + x.compare(b"\x0a\0\0\0")
    + x.verdict(x.Verdict.ACCEPT),
    "ct state established,related return": STATE
    + x.compare(bytes(4), x.Operator.NOT_EQUAL)
    + x.verdict(x.Verdict.RETURN),
    "tcp dport 80-90 counter packets 7 bytes 70": x.meta(x.Meta.L4PROTO)
    + x.compare(b"\x06")
    + x.payload(x.TRANSPORT, 2, 2)
    + x.in_range(b"\0\x50", b"\0\x5a")
    + x.counter(7, 70),
    "meta mark set 0x00000005": x.immediate(x.host32(5)) + x.set_meta(x.Meta.MARK),
    'log prefix "x" group 3 snaplen 80': x.log("x", 3, 80),
    'log prefix "y"': x.log("y"),
    "limit rate over 5/second burst 2 packets drop": x.limit(5, 1, 2, over=True) + x.verdict(x.Verdict.DROP),
    "jump c": x.verdict(x.Verdict.JUMP, "c"),
    "goto c": x.verdict(x.Verdict.GOTO, "c"),
    "iifname vmap @m": x.meta(x.Meta.IIFNAME) + x.map_lookup("m"),
    "meta l4proto != @p": x.meta(x.Meta.L4PROTO) + x.lookup("p", inverted=True),
    "fib saddr . iif oif 0": x.fib(1, 1 | 8) + x.compare(bytes(4)),
}


@pytest.fixture
def socket() -> Iterator[NetlinkSocket]:
    """A socket in a namespace of its own, which the test's thread is in as well."""
    descriptor = anonymous_namespace()
    with inside(descriptor), NetlinkSocket(NETLINK_NETFILTER) as opened:
        commit(opened, [new_table(TABLE), new_chain(TABLE, "base", Hook(2, 0)), new_chain(TABLE, "c")])
        yield opened
    os.close(descriptor)


def nft(*arguments: str) -> str:
    return subprocess.run(["nft", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.kernel
@pytest.mark.parametrize("form", FORMS)
def test_expressions_mean_what_nft_prints(socket: NetlinkSocket, form: str) -> None:
    sets = [new_set(TABLE, "m", NAMES), new_set(TABLE, "p", SetDeclaration(12, 1))]
    commit(socket, [*sets, new_rule(TABLE, "base", FORMS[form], b"why")])
    assert f'{form} comment "why"' in nft("list", "chain", "inet", "tortie", "base")


@pytest.mark.kernel
def test_notrack_is_accepted_in_raw_chains(socket: NetlinkSocket) -> None:
    commit(socket, [new_chain(TABLE, "raw", Hook(0, -300, accept=False)), new_rule(TABLE, "raw", x.notrack())])
    listed = nft("list", "chain", "inet", "tortie", "raw")
    assert "hook prerouting priority raw; policy drop;" in listed
    assert "notrack" in listed


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("declaration", "elements", "printed"),
    [
        (IPV4, plain_elements(b"\1\2\3\4\5\6\7\x08", 4), ["1.2.3.4", "5.6.7.8"]),
        (NETS, interval_elements(b"\x0a\0\0\0\x0b\0\0\0\xff\0\0\0\0\0\0\0", 4), ["10.0.0.0/8", "255.0.0.0/8"]),
        (NETS, interval_elements(bytes(8), 4), ["0.0.0.0/0"]),
        (SERVICE, plain_elements(b"\1\2\3\4\6\0\0\0\0\x50\0\0", 12), ["1.2.3.4 . tcp . 80"]),
        (NAMES, [verdict_element(b"cali1".ljust(16, b"\0"), x.Verdict.GOTO, "c")], ['"cali1" : goto c']),
        (
            RANGES,
            [element(b"cali1".ljust(16, b"\0") + bytes(4), b"cali1".ljust(16, b"\0") + b"\0\0\0\xff")],
            ['"cali1" . 0.0.0.0/24'],
        ),
    ],
)
def test_elements_mean_what_nft_prints_and_can_be_deleted(
    socket: NetlinkSocket, declaration: SetDeclaration, elements: list[bytes], printed: list[str]
) -> None:
    commit(socket, [new_set(TABLE, "s", declaration), *add_elements(TABLE, "s", elements)])
    listed = nft("list", "ruleset")
    assert all(one in listed for one in printed)
    assert [one.declaration for one in dump.read_sets(socket, TABLE)] == [declaration]
    commit(socket, list(delete_elements(TABLE, "s", elements)))
    assert list(dump.parse_elements(dump.read_elements(socket, TABLE, "s"))) == []


@pytest.mark.kernel
def test_many_elements_are_cut_into_messages_and_come_back_sorted(socket: NetlinkSocket) -> None:
    keys = b"".join((one * 2654435761 % 2**32).to_bytes(4, "big") for one in range(20_000))
    requests = list(add_elements(TABLE, "s", plain_elements(keys, 4)))
    assert len(requests) > 1
    assert max(len(one.payload) for one in requests) < 65_536
    commit(socket, [new_set(TABLE, "s", IPV4, 32_768), *requests])
    found = dump.parse_keys(dump.read_elements(socket, TABLE, "s"), 4)
    assert found == b"".join(sorted(keys[at : at + 4] for at in range(0, len(keys), 4)))


@pytest.mark.kernel
def test_the_size_of_a_set_can_be_raised(socket: NetlinkSocket) -> None:
    commit(socket, [new_set(TABLE, "s", IPV4, 1)])
    two = list(add_elements(TABLE, "s", plain_elements(bytes(range(8)), 4)))
    with pytest.raises(KernelError) as refused:
        commit(socket, two)
    assert refused.value.errno == errno.ENFILE
    commit(socket, [new_set(TABLE, "s", IPV4, 2)])
    commit(socket, two)


@pytest.mark.kernel
def test_rules_come_back_with_comment_counter_and_target(socket: NetlinkSocket) -> None:
    commit(socket, [new_rule(TABLE, "base", x.counter(3, 9) + x.verdict(x.Verdict.JUMP, "c"), b"tag")])
    (rule,) = dump.read_rules(socket, TABLE, "base")
    assert (rule.chain, rule.comment, dump.counters(rule.expressions)) == ("base", b"tag", (3, 9))
    assert dump.jump_targets(rule.expressions) == ["c"]
    assert [(one.name, one.hook) for one in dump.read_chains(socket, TABLE)] == [("base", Hook(2, 0)), ("c", None)]


@pytest.mark.kernel
def test_a_refused_request_is_named_and_nothing_is_changed(socket: NetlinkSocket) -> None:
    rule = new_rule(TABLE, "c", x.counter())
    with pytest.raises(KernelError, match="delete set nowhere") as refused:
        commit(socket, [rule, delete_set(TABLE, "nowhere"), rule])
    assert refused.value.errno == errno.ENOENT
    assert dump.read_rules(socket, TABLE) == []


@pytest.mark.kernel
def test_a_stale_generation_is_refused(socket: NetlinkSocket) -> None:
    before = generation(socket)
    commit(socket, [new_rule(TABLE, "c", x.counter())], before)
    with pytest.raises(KernelError) as refused:
        commit(socket, [flush_chain(TABLE, "c")], before)
    assert is_stale(refused.value)


@pytest.mark.kernel
def test_only_changes_of_our_table_by_others_are_noticed(socket: NetlinkSocket) -> None:
    watch = TableWatch(socket, TABLE)
    since = generation(socket)
    commit(socket, [new_rule(TABLE, "c", x.counter())])
    nft("add table inet other")
    assert watch.is_unchanged(since, generation(socket))
    nft("add rule inet tortie c counter")
    nft("delete table inet other")
    assert not watch.is_unchanged(since, generation(socket))
    assert watch.is_unchanged(generation(socket), generation(socket))
    watch.close()


@pytest.mark.kernel
def test_a_missing_table_is_none(socket: NetlinkSocket) -> None:
    assert dump.read_table(socket, Table(INET, "nowhere")) is None


def test_generations_wrap() -> None:
    assert is_later(3, 0xFFFFFFFE)
    assert not is_later(0xFFFFFFFE, 3)
    assert not is_later(3, 3)


DECODERS: dict[str, Callable[[Message], object]] = {
    "chain": dump.parse_chain,
    "rule": dump.parse_rule,
    "set": dump.parse_set,
    "elements": lambda message: list(dump.parse_elements([message])),
    "keys": lambda message: dump.parse_keys([message], 4),
    "counters": lambda message: dump.counters(message.payload),
    "targets": lambda message: dump.jump_targets(message.payload),
    "comment": lambda message: dump.parse_comment(message.payload),
    "generation": lambda message: generation_id(message.payload),
    "event": lambda message: is_foreign_change(message, TABLE, ()),
}
trees = st.recursive(
    st.binary(max_size=12),
    lambda inner: st.lists(st.tuples(st.integers(0, 20), inner), max_size=4).map(
        lambda pairs: b"".join(attribute(kind, data) for kind, data in pairs)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=settings.default.max_examples * 2)
@given(payload=st.one_of(st.binary(max_size=80), trees, trees.map(lambda tree: b"\1\0\0\0" + tree)))
def test_arbitrary_bytes_are_decoded_or_truncated(name: str, payload: bytes) -> None:
    with contextlib.suppress(TruncatedMessage):
        DECODERS[name](Message(10 << 8 | 6, 0, 1, payload))


@given(st.binary(max_size=200).filter(lambda text: b"\0" not in text))
def test_comments_survive(text: bytes) -> None:
    assert dump.parse_comment(packed_comment(text)) == text


def test_a_request_says_what_it_is() -> None:
    assert isinstance(new_table(TABLE), Request)
    assert new_chain(TABLE, "x").name == "new chain x"
