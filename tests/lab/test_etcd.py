"""A cluster of etcd members: who leads, what becomes of data, and what cannot be done to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tortie.base.errors import Unavailable, Unsupported
from tortie.lab.etcd import EtcdCluster, on_loopback

pytestmark = pytest.mark.thorough

NAMES = ("a", "b", "c")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    cluster = EtcdCluster(tmp_path, on_loopback(NAMES))
    yield cluster
    cluster.kill()


def test_members_are_killed_paused_and_started_again_and_another_leads(cluster: EtcdCluster) -> None:
    cluster.start()
    cluster.wait()
    first = cluster.leader()
    cluster.kill(first)
    assert [cluster.is_alive(name) for name in NAMES] == [name != first for name in NAMES]
    second = cluster.leader()
    assert second != first
    cluster.start()
    cluster.wait()
    third = cluster.leader()
    cluster.pause(third)
    assert cluster.is_alive(third)
    assert cluster.leader() != third
    cluster.resume(third)
    cluster.wait()
    cluster.wait_for(third, 1)


def test_a_member_that_does_not_start_says_why(tmp_path: Path) -> None:
    cluster = EtcdCluster(tmp_path, on_loopback(NAMES), options=["--auto-compaction-mode=never"])
    cluster.start("a")
    with pytest.raises(Unavailable, match=r"etcd a has ended: .*auto-compaction-mode"):
        cluster.wait()


def test_members_without_a_network_of_their_own_are_not_cut_off(cluster: EtcdCluster) -> None:
    with pytest.raises(Unsupported, match="give it a namespace"):
        cluster.cut_off("a")
