"""The rendered BIRD configuration: what is announced, what is not, and that BIRD itself accepts it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.base.addresses import Cidr
from tortie.bgp.config import minimal, render
from tortie.desired.bgp import BGPNode, Pool, Session

NODE = BGPNode(
    node="n1",
    router_id="172.31.0.1",
    as_number=64512,
    address4=Cidr.host("172.31.0.1"),
    address6=Cidr.host("fd00:31::1"),
    sessions=(
        Session("Mesh_172_31_0_2", Cidr.host("172.31.0.2"), 64512),
        Session("Mesh_fd00_31__2", Cidr.host("fd00:31::2"), 64512, passive=True, port=1179),
    ),
    blocks=(Cidr.parse("10.65.1.0/26"), Cidr.parse("fd00:65::40/122")),
    pools=(Pool(Cidr.parse("10.65.0.0/16")), Pool(Cidr.parse("10.66.0.0/16"), export=False)),
)


def test_own_blocks_are_announced_and_longer_routes_inside_them_are_not() -> None:
    lines = [line.strip() for line in render(NODE).splitlines()]
    accept = lines.index("if net = 10.65.1.0/26 then accept;")
    assert lines[accept + 1] == "if net ~ [ 10.65.1.0/26+ ] then reject;"
    assert "route 10.65.1.0/26 blackhole;" in lines


def test_borrowed_addresses_are_announced_only_inside_pools_that_may_be_exported() -> None:
    text = render(NODE)
    assert "krt_source = 80 && net ~ [ 10.65.0.0/16+ ] then accept;" in text
    assert "if net ~ [ 10.66.0.0/16+ ] then reject;" in text
    assert text.index("10.66.0.0/16+ ] then reject") < text.index("10.65.0.0/16+ ] then accept")


def test_a_session_carries_the_family_of_its_peer() -> None:
    text = render(NODE)
    session4 = text[text.index("protocol bgp Mesh_172_31_0_2") :].split("\n}\n")[0]
    session6 = text[text.index("protocol bgp Mesh_fd00_31__2") :].split("\n}\n")[0]
    assert "ipv4 {" in session4
    assert "ipv6 {" not in session4
    assert "local 172.31.0.1 as 64512;" in session4
    assert "ipv6 {" in session6
    assert "passive;" in session6
    assert "neighbor fd00:31::2 port 1179 as 64512;" in session6


@pytest.mark.parametrize("port", [1, 179, 1179, 1790, 17900, 65535])
def test_the_port_to_listen_on_is_rendered_whatever_its_digits(port: int, tmp_path: Path) -> None:
    text = render(msgspec.structs.replace(NODE, listen_port=port))
    wanted = "local 172.31.0.1 as 64512;" if port == 179 else f"local 172.31.0.1 port {port} as 64512;"
    assert wanted in text
    check(text, tmp_path / "bird.conf")


def test_a_node_without_an_address_of_a_family_has_nothing_of_it() -> None:
    only4 = BGPNode("n1", "172.31.0.1", 64512, Cidr.host("172.31.0.1"), sessions=NODE.sessions, pools=NODE.pools)
    assert "ipv6 {" not in render(only4)


def test_a_password_that_cannot_be_quoted_is_refused() -> None:
    peer = Cidr.host("172.31.0.2")
    node = BGPNode("n1", "1.1.1.1", 1, Cidr.host("1.1.1.1"), sessions=(Session("s", peer, 1, password='a"; evil'),))
    with pytest.raises(ValueError, match="password"):
        render(node)


def cidrs(family: int) -> st.SearchStrategy[Cidr]:
    bits = 32 if family == 4 else 128
    return st.builds(
        lambda address, length: Cidr.from_bytes(address.to_bytes(bits // 8, "big"), length),
        st.integers(0, (1 << bits) - 1),
        st.integers(1, bits),
    )


any_cidr = st.sampled_from((4, 6)).flatmap(cidrs)


@given(
    blocks=st.lists(any_cidr, max_size=3, unique=True),
    pools=st.lists(st.builds(Pool, any_cidr, st.booleans()), max_size=3, unique_by=lambda pool: pool.cidr),
    passwords=st.lists(st.sampled_from((None, "a b", "#;{}'")), max_size=2),
)
def test_bird_accepts_whatever_is_rendered(
    blocks: list[Cidr], pools: list[Pool], passwords: list[str | None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    sessions = tuple(
        Session(f"s_{number}", Cidr.host(f"172.31.0.{number + 2}"), 64512, password=password)
        for number, password in enumerate(passwords)
    )
    node = BGPNode(
        "n1", "1.2.3.4", 64512, NODE.address4, NODE.address6, 1179, sessions, tuple(blocks), tuple(sorted(pools))
    )
    check(render(node), tmp_path_factory.mktemp("bird") / "bird.conf")


def test_bird_accepts_the_minimal_configuration(tmp_path: Path) -> None:
    check(minimal("1.2.3.4"), tmp_path / "bird.conf")


def check(text: str, file: Path) -> None:
    file.write_text(text)
    result = subprocess.run(["/usr/sbin/bird", "-p", "-c", str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + text
