"""Where statuses are: this host's keys and no other's, and files as CNI plugins look for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.agent.status_places import FOLDER, StatusFiles, StatusKeys, file_content, file_name
from tortie.base.addresses import Cidr
from tortie.base.errors import Unavailable
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.statuskeys import HostEndpointStatusKey, LivenessKey, WorkloadStatusKey, status_key
from tortie.desired.endpoints import Endpoint, EndpointId
from tortie.desired.policy import PolicyList

OURS = {
    status_key(WorkloadStatusKey("east", "n1", "k8s", "shop/web", "eth0")): b"1",
    status_key(HostEndpointStatusKey("n1", "uplink")): b"2",
}
OTHERS = (
    status_key(WorkloadStatusKey("east", "n10", "k8s", "shop/web", "eth0")),
    status_key(WorkloadStatusKey("", "n1", "k8s", "shop/web", "eth0")),
    status_key(HostEndpointStatusKey("n10", "uplink")),
    status_key(LivenessKey("east", "n1")),
    "/calico/felix/v2/region-east/host/n1/workload/of-a-newer-version",
)


@pytest.fixture
async def datastore() -> AsyncIterator[EmbeddedDatastore]:
    one = EmbeddedDatastore.open_memory()
    yield one
    await one.close()


async def test_only_keys_of_this_host_and_region_are_looked_at(datastore: EmbeddedDatastore) -> None:
    keys = StatusKeys(datastore, "east", "n1", str)
    for name, value in OURS.items():
        await keys.put(name, value)
    for name in OTHERS:
        await datastore.put(name, b"theirs")
    assert await keys.read() == OURS


async def test_a_key_that_is_gone_already_is_no_error(datastore: EmbeddedDatastore) -> None:
    keys = StatusKeys(datastore, "east", "n1", str)
    for name, value in OURS.items():
        await keys.put(name, value)
        await keys.remove(name)
        await keys.remove(name)
    assert await keys.read() == {}


async def test_nothing_is_done_to_a_datastore_that_may_not_be_written(datastore: EmbeddedDatastore) -> None:
    keys = StatusKeys(datastore, "", "n1", lambda: "locked")
    for work in (keys.read(), keys.put("/calico/a", b"1"), keys.remove("/calico/a")):
        with pytest.raises(Unavailable, match="locked"):
            await work
    assert not (await datastore.list("")).items


async def test_files_are_written_whole_and_what_a_killed_agent_left_is_found(tmp_path: Path) -> None:
    files = StatusFiles(tmp_path)
    assert await files.read() == {}
    await files.put("k8s a b", b"1")
    assert (tmp_path / FOLDER / "k8s a b").stat().st_mode & 0o777 == 0o644
    (tmp_path / FOLDER / ".k8s a b.4711").write_bytes(b"half")
    (tmp_path / FOLDER / "README").write_bytes(b"an operator's")
    assert await files.read() == {"k8s a b": b"1", ".k8s a b.4711": b"half"}
    for name in ("k8s a b", "k8s a b"):
        await files.remove(name)
    assert "k8s a b" not in await files.read()


async def test_a_directory_that_cannot_be_made_or_is_taken_away_may_come_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file"):
        await StatusFiles(tmp_path / "file").read()
    with pytest.raises(Unavailable, match="No such file"):
        await StatusFiles(tmp_path / "absent").put("k8s a b", b"1")


def test_a_files_name_is_as_felix_spells_it() -> None:
    key = WorkloadStatusKey("", "n1", "k8s", "shop/web-0.a_b~", "eth0:1 ?;,%é")
    assert file_name(key) == "k8s shop%2Fweb-0.a_b~ eth0:1%20%3F%3B%2C%25%C3%A9"


@given(*[st.text(st.characters(exclude_categories=["Cs"]), min_size=1)] * 3)
def test_a_files_name_tells_whose_it_is(orchestrator: str, workload: str, endpoint: str) -> None:
    name = file_name(WorkloadStatusKey("", "n1", orchestrator, workload, endpoint))
    assert [unquote(part) for part in name.split(" ")] == [orchestrator, workload, endpoint]
    assert "/" not in name


def test_a_file_says_what_felixs_does() -> None:
    addresses = tuple(map(Cidr.parse, ("10.65.0.1/32", "fd00::1/128")))
    one = Endpoint(EndpointId("a", "b"), "cali1", addresses, PolicyList(), PolicyList(), "02:00:00:00:00:01")
    assert file_content(one) == (
        b'{"ifaceName":"cali1","mac":"02:00:00:00:00:01","ipv4Nets":["10.65.0.1/32"],"ipv6Nets":["fd00::1/128"]}'
    )
    bare = Endpoint(EndpointId("a", "b"), "cali1", (), PolicyList(), PolicyList())
    assert file_content(bare) == b'{"ifaceName":"cali1"}'
