"""`tortie apply --confirm` and `tortie confirm` on one host; whole clusters are tried in tests/system."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tortie.cli import trying
from tortie.cli.probing import DATASTORE, Probes, answers_dns, answers_tcp, name_servers
from tortie.datastore import pending as trials
from tortie.datastore.embedded import EmbeddedDatastore

Run = Callable[..., Result]

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {selector: role == 'db', ingress: [{action: Deny}]}
"""


@pytest.fixture(autouse=True)
def _times_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trying, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(trying, "PREPARE_SECONDS", 0.0)


def shown(run: Run) -> str:
    return run("get", "np", "db", "-n", "shop", "-o", "yaml", "--export").output


def test_what_is_not_confirmed_is_taken_back(run: Run) -> None:
    run("apply", "-f", "-", text=POLICY)
    before = shown(run)
    result = run("apply", "-f", "-", "--confirm", "200ms", text=POLICY.replace("Deny", "Allow"))
    assert result.exit_code == 1
    assert "was taken back: it was not confirmed in time" in result.output
    assert shown(run) == before


def test_checks_that_succeed_confirm_and_those_that_fail_take_back(run: Run) -> None:
    done = run("apply", "-f", "-", "--confirm", "60s", "--check", "true", "--check", "exit 0", text=POLICY)
    assert (done.exit_code, "is confirmed" in done.output) == (0, True)
    failed = run(
        "apply", "-f", "-", "--confirm", "60s", "--check", "true", "--check", "exit 3", text=POLICY.replace("db", "x")
    )
    assert failed.exit_code == 1
    assert "check failed with status 3: exit 3" in failed.output
    assert "x" not in run("get", "np", "-n", "shop", "-o", "name").output.replace("networkpolicy", "")


def test_a_check_that_does_not_end_takes_back(run: Run) -> None:
    done = run("apply", "-f", "-", "--confirm", "300ms", "--check", "sleep 600", text=POLICY)
    assert done.exit_code == 1
    assert "longer than there was time" in done.output


def test_it_is_confirmed_from_elsewhere(run: Run, tmp_path: Path) -> None:
    async def confirm() -> None:
        while True:
            datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
            try:
                for one in await trials.read_pending(datastore):
                    if one.pending.until:
                        await trials.confirm(datastore, one.pending.change, 0)
                        return
            finally:
                await datastore.close()

    other = threading.Thread(target=lambda: asyncio.run(confirm()))
    other.start()
    done = run("apply", "-f", "-", "--confirm", "10m", text=POLICY)
    other.join()
    assert (done.exit_code, "is confirmed" in done.output) == (0, True)


def test_what_was_confirmed_before_it_could_be_taken_back_is_told_as_it_is(run: Run) -> None:
    confirm = f"{sys.executable} -m tortie.cli confirm; false"
    done = run("apply", "-f", "-", "--confirm", "60s", "--check", confirm, text=POLICY)
    assert (done.exit_code, "was taken back" in done.output, "is confirmed" in done.output) == (0, False, True)
    assert "Deny" in shown(run)


def test_nothing_is_pending_twice(run: Run, tmp_path: Path) -> None:
    async def offer() -> None:
        datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
        await trials.offer(datastore, trials.Pending(change="c1", who="alice", seconds=60, writes=()))
        await datastore.close()

    asyncio.run(offer())
    refused = run("apply", "-f", "-", "--confirm", "60s", text=POLICY)
    assert refused.exit_code == 1
    assert "c1: of alice is pending" in refused.output
    assert run("confirm", "--reject").output == "change c1 was taken back\n"
    assert run("apply", "-f", "-", "--confirm", "60s", "--check", "true", text=POLICY).exit_code == 0


def test_what_is_not_pending_cannot_be_confirmed(run: Run) -> None:
    run("apply", "-f", "-", text=POLICY)
    assert run("confirm").output == "confirm: no change is pending\n"
    assert "is not pending" in run("confirm", "c1").output
    assert run("confirm", "c1", "--reject").exit_code == 1


def test_a_node_that_says_nothing_is_told_before_anything_is_written(run: Run) -> None:
    run("apply", "-f", "-", text="{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n1}, spec: {}}")
    refused = run("apply", "-f", "-", "--confirm", "60s", text=POLICY)
    assert refused.exit_code == 1
    assert "not ready to go back by themselves: n1; nothing was written" in refused.output
    assert run("confirm").output == "confirm: no change is pending\n"
    done = run("apply", "-f", "-", "--confirm", "60s", "--without", "n1", "--check", "true", text=POLICY)
    assert done.exit_code == 0


@pytest.mark.parametrize(
    "words",
    [("--confirm", "soon"), ("--check", "true"), ("--confirm", "60s", "--nodes", "role ="), ("--nodes", "all()")],
)
def test_terms_that_make_no_sense_are_refused(run: Run, words: tuple[str, ...]) -> None:
    assert run("apply", "-f", "-", *words, text=POLICY).exit_code == 2


def test_files_that_are_wrong_are_refused_as_ever(run: Run) -> None:
    refused = run("apply", "-f", "-", "--confirm", "60s", text=POLICY.replace("Deny", "Maybe"))
    assert refused.exit_code == 1
    assert "action" in refused.output
    run("apply", "-f", "-", text=POLICY)
    assert "nothing differs" in run("apply", "-f", "-", "--confirm", "60s", text=POLICY).output


async def test_name_servers_are_asked(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# x\nnameserver 127.0.0.9\nnameserver ::1%lo\nnameserver nonsense\nsearch here\nnameserver\n")
    assert list(name_servers(file)) == ["127.0.0.9", "::1"]
    assert list(name_servers(tmp_path / "none")) == []
    assert not await answers_dns("127.0.0.1", 1, 0.05), "nobody is there"

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def answer() -> None:
            question, asker = server.recvfrom(512)
            server.sendto(question[:2] + b"\x81\x85", asker)

        thread = threading.Thread(target=answer)
        thread.start()
        assert await answers_dns("127.0.0.1", server.getsockname()[1], 30)
        thread.join()


async def test_the_other_end_of_the_ssh_session_is_asked(tmp_path: Path) -> None:
    none = tmp_path / "none"
    found = await Probes(tmp_path / "store.db", (), none, "127.0.0.1 50000 127.0.0.1 22").built_in()
    assert found == {DATASTORE, "the other end of this SSH session, 127.0.0.1"}
    assert await answers_tcp("127.0.0.1", 1), "refused is answered"
    assert not await answers_tcp("no address at all", 1)
    with socket.socket() as listening, socket.socket() as first:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        first.connect(listening.getsockname())
        assert not await answers_tcp("127.0.0.1", listening.getsockname()[1], 0.05), "a full backlog answers nobody"


async def test_the_datastore_is_reached_anew(tmp_path: Path) -> None:
    none = tmp_path / "none"
    assert await Probes(tmp_path / "store.db", (), none, "").built_in() == {DATASTORE}
    (tmp_path / "broken.db").write_text("this is no datastore at all" * 100)
    assert await Probes(tmp_path / "broken.db", (), none, "").built_in() == set()
