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
from tortie.desired.bgp import Advertisement, Bfd, BGPNode, NextHop, Password, Pool, Services, Session
from tortie.desired.bgpfilter import AddCommunity, Filter, FilterRule, NetMatch, PrependPath, SetPriority

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
    better = "(source = RTS_INHERIT && krt_source = 80) && krt_metric > 0 && krt_metric < 1024"
    assert lines[accept + 1] == f"if net ~ [ 10.65.1.0/26+ ] && !({better}) then reject;"
    assert "route 10.65.1.0/26 blackhole;" in lines


def test_borrowed_addresses_are_announced_only_inside_pools_that_may_be_exported() -> None:
    text = render(NODE)
    workload = "(source = RTS_INHERIT && krt_source = 80)"
    accept = f"if net ~ [ 10.65.0.0/16+ ] && (source = RTS_BGP || {workload}) then accept;"
    assert accept in text
    assert text.index("if net ~ [ 10.66.0.0/16+ ] then reject;") < text.index(accept)


def test_where_a_workload_is_attached_counts_unless_another_host_prefers_its_own_route() -> None:
    text = render(NODE, "tap")
    assert (
        'if krt_source = 80 && defined(ifname) && ifname ~ "tap*" then\n'
        "        if krt_metric < 1024 then preference = 210; else preference = 150;"
    ) in text
    learned = "if defined(bgp_local_pref) && bgp_local_pref > 2147482623 && bgp_local_pref < 2147483647"
    assert f"{learned}\n        then preference = 200;" in text
    assert text.count("learned_priority4(); accept;") == text.count("learned_priority6(); accept;") == 1


def test_routes_of_pools_have_the_metric_of_workloads_so_that_an_attached_one_takes_their_place() -> None:
    lines = [line.strip() for line in render(NODE).splitlines()]
    first = lines.index("krt_metric = 32;")
    for line, n in zip(lines[first + 2 : first + 4], (65, 66), strict=True):
        assert line.startswith(f"if net ~ [ 10.{n}.0.0/16+ ] && !(") and line.endswith("then krt_metric = 1023;")


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


def cidrs(family: int) -> st.SearchStrategy[Cidr]:
    bits = 32 if family == 4 else 128
    return st.builds(
        lambda address, length: Cidr.from_bytes(address.to_bytes(bits // 8, "big"), length),
        st.integers(0, (1 << bits) - 1),
        st.integers(1, bits),
    )


any_cidr = st.sampled_from((4, 6)).flatmap(cidrs)


communities = st.lists(st.integers(0, 65535), min_size=2, max_size=3).map(tuple)
as_numbers = st.integers(0, 2**32 - 1)
paths = st.lists(as_numbers, max_size=3).map(tuple)
operations = st.one_of(
    st.builds(AddCommunity, communities),
    st.builds(PrependPath, paths.filter(bool)),
    st.builds(SetPriority, st.integers(1, 2**31 - 2)),
)


def rules(family: int) -> st.SearchStrategy[tuple[FilterRule, ...]]:
    lengths = st.none() | st.integers(0, 32 if family == 4 else 128)
    return st.lists(
        st.builds(
            FilterRule,
            accept=st.booleans(),
            net=st.none() | st.builds(NetMatch, cidrs(family), st.booleans(), st.booleans(), lengths, lengths),
            learned=st.booleans(),
            interface=st.sampled_from(("", "eth0", "*.calico", "a?b@c-d_e.f:g")),
            internal=st.none() | st.booleans(),
            community=st.just(()) | communities,
            path_prefix=paths,
            priority=st.none() | st.integers(1, 2**31 - 2),
            operations=st.lists(operations, max_size=2).map(tuple),
        ),
        max_size=3,
    ).map(tuple)


def by_family() -> st.SearchStrategy[dict[int, tuple[FilterRule, ...]]]:
    return st.fixed_dictionaries({4: rules(4), 6: rules(6)})


filters = st.lists(
    st.builds(Filter, st.sampled_from(("a", "b.c-d", "e" * 45, "f" * 200)), by_family(), by_family()),
    max_size=2,
    unique_by=lambda one: one.name,
)
secret = Password("secret", "key")
sessions = st.builds(
    Session,
    name=st.just("s"),
    peer=st.sampled_from((Cidr.host("172.31.0.9"), Cidr.host("fd00:31::9"))),
    peer_as=st.sampled_from((64512, 65001)),
    passive=st.booleans(),
    port=st.integers(1, 65535),
    local_as=st.none() | st.just(65002),
    source=st.booleans(),
    password=st.none() | st.just(secret),
    next_hop=st.sampled_from(NextHop),
    hops=st.none() | st.integers(1, 255),
    restart_time=st.none() | st.integers(0, 4095),
    keepalive=st.none() | st.integers(1, 21845),
    allowed_local_as=st.none() | st.integers(0, 255),
    filters=st.just(("a", "b.c-d", "e" * 45, "f" * 200)),
)
nodes = st.builds(
    BGPNode,
    node=st.just("n1"),
    router_id=st.just("1.2.3.4"),
    as_number=st.just(64512),
    address4=st.just(NODE.address4),
    address6=st.just(NODE.address6),
    listen_port=st.integers(1, 65535),
    sessions=st.lists(sessions, max_size=3).map(
        lambda found: tuple(msgspec.structs.replace(one, name=f"s_{place}") for place, one in enumerate(found))
    ),
    blocks=st.lists(any_cidr, max_size=3, unique=True).map(tuple),
    pools=st.lists(st.builds(Pool, any_cidr, st.booleans(), st.booleans()), max_size=3).map(tuple),
    bind=st.booleans(),
    filters=filters.map(tuple),
    advertisements=st.lists(
        st.builds(Advertisement, any_cidr, st.lists(communities, min_size=1, max_size=2).map(tuple)), max_size=2
    ).map(tuple),
    services=st.builds(
        Services, st.lists(any_cidr, max_size=2).map(tuple), st.lists(any_cidr, max_size=2, unique=True).map(tuple)
    ),
    ignored_interfaces=st.lists(st.sampled_from(("eth*", "a?b@c-d_e.f:g")), max_size=2).map(tuple),
    log_severity=st.sampled_from(("Debug", "Info", "Warning", "Error", "Fatal", "None")),
    cluster_id=st.sampled_from(("", "1.0.0.1")),
    programs_ipip=st.booleans(),
)


@given(node=nodes, passwords=st.sampled_from(({}, {("secret", "key"): "a b#;{}'"})))
def test_bird_accepts_whatever_is_rendered(
    node: BGPNode, passwords: dict[tuple[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    check(render(node, passwords=passwords), tmp_path_factory.mktemp("bird") / "bird.conf")


def test_bird_accepts_the_minimal_configuration(tmp_path: Path) -> None:
    check(minimal("1.2.3.4"), tmp_path / "bird.conf")


def check(text: str, file: Path) -> None:
    file.write_text(text)
    result = subprocess.run(["/usr/sbin/bird", "-p", "-c", str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + text


def test_bfd_is_asked_for_by_sessions_that_want_it_only() -> None:
    assert "bfd" not in render(NODE)
    plain, other = NODE.sessions
    node = msgspec.structs.replace(NODE, sessions=(msgspec.structs.replace(plain, bfd=Bfd(100, 5)), other))
    text = render(node)
    assert text.count("protocol bfd {") == 1
    assert text.count("min rx interval 100 ms; min tx interval 100 ms; idle tx interval 1000 ms; multiplier 5;") == 1
    near = msgspec.structs.replace(plain, bfd=Bfd(100, 5, direct=True))
    assert "    direct;\n" in render(msgspec.structs.replace(NODE, sessions=(near,)))
    assert "multihop" not in render(msgspec.structs.replace(NODE, sessions=(near,)))


def test_ipv4_routes_over_ipv6_need_no_ipv4_address() -> None:
    session = Session("Mesh_fd00_31__2", Cidr.host("fd00:31::2"), 64512, carries_ipv4=True)
    node = msgspec.structs.replace(NODE, address4=None, sessions=(session,))
    text = render(node)
    assert "ipv4 { extended next hop; import keep filtered;" in text
    assert "ipv6 { import keep filtered;" in text
    assert "route 10.65.1.0/26 blackhole;" in text
    assert "ipv4 {" not in render(msgspec.structs.replace(node, sessions=NODE.sessions[1:])).replace(
        "ipv4 { import f", ""
    )


@pytest.mark.parametrize("bfd", [None, Bfd(10, 1), Bfd(60_000, 255, direct=True)])
@pytest.mark.parametrize("carries_ipv4", [False, True])
@pytest.mark.parametrize("hops", [None, 1, 5])
def test_bird_accepts_every_way_to_notice_and_to_carry(
    tmp_path: Path, bfd: Bfd | None, carries_ipv4: bool, hops: int | None
) -> None:
    session = Session(
        "Mesh_a", Cidr.host("fd00:31::2"), 64512, bfd=bfd, carries_ipv4=carries_ipv4, hops=hops, next_hop=NextHop.SELF
    )
    file = tmp_path / "bird.conf"
    file.write_text(render(msgspec.structs.replace(NODE, sessions=(session,))))
    checked = subprocess.run(["bird", "-p", "-c", str(file)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
