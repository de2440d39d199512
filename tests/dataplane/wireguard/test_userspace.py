"""The language of wireguard-go, and the program itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.base.errors import KernelError, Unavailable, Unsupported
from tortie.dataplane.wireguard import userspace
from tortie.dataplane.wireguard.keys import generate, public_key
from tortie.dataplane.wireguard.userspace import Userspace, decode, pack
from tortie.netlink.namespace import inside
from tortie.netlink.wireguard import Change, Endpoint, Peer, Wireguard

DEVICE = "tt-wg"
PRIVATE = generate()
PUBLIC = public_key(PRIVATE)
PEERS = (
    Peer(bytes(range(32)), Endpoint(Cidr.host("192.0.2.9"), 51820), 25, frozenset({Cidr.parse("10.65.0.0/26")})),
    Peer(bytes(range(1, 33)), Endpoint(Cidr.host("fd00::9"), 51821), 0, frozenset({Cidr.parse("fd00:65::/122")})),
)


def lines(texts: list[str]) -> list[tuple[str, str]]:
    return [(key, value) for key, _, value in (text.partition("=") for text in texts)]


def test_a_change_is_told_in_lines() -> None:
    assert list(pack(Change(private=bytes(32), port=1, mark=2, peers=PEERS[1:], removed=(bytes(32),)))) == [
        f"private_key={'00' * 32}",
        "listen_port=1",
        "fwmark=2",
        f"public_key={PEERS[1].key.hex()}",
        "endpoint=[fd00::9]:51821",
        "persistent_keepalive_interval=0",
        "replace_allowed_ips=true",
        "allowed_ip=fd00:65::/122",
        f"public_key={'00' * 32}",
        "remove=true",
    ]


def test_what_is_told_is_what_is_read() -> None:
    said = lines(list(pack(Change(private=PRIVATE, port=7, mark=8, peers=PEERS))))
    assert decode(said, PRIVATE, PUBLIC) == Wireguard(PUBLIC, 7, 8, PEERS)
    assert decode(said, generate(), PUBLIC).key == b""


@given(
    st.lists(st.tuples(st.sampled_from(["public_key", "endpoint", "allowed_ip", "listen_port"]), st.text(max_size=9)))
)
def test_nonsense_is_told_from_answers(said: list[tuple[str, str]]) -> None:
    try:
        decode(said, None, b"")
    except Unavailable as error:
        assert "cannot be read" in str(error)


@pytest.fixture
def device(namespace: int, tmp_path: Path) -> Iterator[Userspace]:
    one = Userspace(tmp_path / "sockets")
    with inside(namespace):
        one.make(DEVICE)
        yield one
        subprocess.run(["ip", "link", "delete", DEVICE], check=False)


@pytest.mark.kernel
def test_a_device_takes_what_it_is_given_and_tells_it(device: Userspace) -> None:
    assert device.has(DEVICE)
    device.change(DEVICE, Change(PRIVATE, 51820, 0x40000, PEERS))
    assert device.read(DEVICE, PRIVATE, PUBLIC) == Wireguard(PUBLIC, 51820, 0x40000, PEERS)
    moved = Peer(PEERS[0].key, PEERS[0].endpoint, 0, frozenset({Cidr.parse("10.66.0.0/26")}))
    device.change(DEVICE, Change(peers=(moved,), removed=(PEERS[1].key,)))
    assert device.read(DEVICE, PRIVATE, PUBLIC).peers == (moved,)


@pytest.mark.kernel
def test_a_refusal_is_an_error(device: Userspace) -> None:
    with pytest.raises(KernelError, match="configure WireGuard device tt-wg"):
        device.change(DEVICE, Change(port=-1))


@pytest.mark.kernel
def test_a_device_outlives_who_made_it_and_its_program_ends_with_it(device: Userspace, tmp_path: Path) -> None:
    subprocess.run(["ip", "link", "delete", DEVICE], check=True)
    with pytest.raises(Unavailable):
        for _ in range(500):
            Userspace(tmp_path / "sockets").read(DEVICE, None, b"")


def test_without_the_program_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(userspace, "PROGRAM", "tt-no-such-program")
    with pytest.raises(Unsupported, match="this kernel has no WireGuard"):
        Userspace(tmp_path).make(DEVICE)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="ask wireguard-go about nothing"):
        Userspace(tmp_path).read("nothing", None, b"")
