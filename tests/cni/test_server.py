"""Plugin and server together: the real plugin program against a server in this process."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tortie.base.addresses import Cidr
from tortie.base.errors import Unavailable
from tortie.cni import server as server_module
from tortie.cni.errors import NOT_AVAILABLE, TRY_AGAIN_LATER, CniError
from tortie.cni.request import Request
from tortie.cni.result import SUPPORTED_VERSIONS, Attachment
from tortie.cni.server import CniServer

PLUGIN = Path(server_module.__file__).with_name("tortie-cni")


class Workloads:
    """Notes what the server asks for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.failure: Exception | None = None
        self.inside = 0
        self.most_inside = 0
        self.forgotten: list[str] = []

    async def add(self, request: Request) -> Attachment:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        await asyncio.sleep(0.01)
        self.inside -= 1
        self.calls.append(("ADD", request.container_id))
        if self.failure is not None:
            raise self.failure
        addresses = (Cidr.host("10.65.0.1"), Cidr.host("fd00::1"))
        return Attachment(
            "cali1", "ee:ee:ee:ee:ee:ee", request.interface, "0a:00:00:00:00:01", request.netns, addresses
        )

    async def delete(self, request: Request) -> None:
        await self._called("DEL", request)

    async def check(self, request: Request) -> None:
        await self._called("CHECK", request)

    async def status(self, request: Request) -> None:
        await self._called("STATUS", request)

    async def stale(self, request: Request) -> list[Request]:
        await self._called("GC", request)
        return [msgspec.structs.replace(request, command="DEL", container_id=name) for name in self.forgotten]

    async def _called(self, command: str, request: Request) -> None:
        self.calls.append((command, request.container_id))
        if self.failure is not None:
            raise self.failure


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what another process or task does to files."""
    while not condition():  # noqa: ASYNC110 - a file is the signal
        await asyncio.sleep(0.001)


async def call(
    directory: Path, command: str, container: str = "c1", version: str = "1.0.0", pod: str = ""
) -> tuple[int, bytes]:
    config = {"cniVersion": version, "name": "net", "type": "tortie-cni", "socket": str(directory / "cni.sock")}
    environment = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": "/run/netns/none" if command in ("ADD", "CHECK") else "",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": f"K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod}" if pod else "",
    }
    process = await asyncio.create_subprocess_exec(
        PLUGIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    output, _ = await process.communicate(json.dumps(config).encode())
    assert process.returncode is not None
    return process.returncode, output


@asynccontextmanager
async def running(directory: Path, workloads: Workloads) -> AsyncIterator[None]:
    ready = asyncio.Event()
    task = asyncio.create_task(CniServer(directory / "cni.sock", workloads).run(ready))
    await ready.wait()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
async def test_add_answers_with_interfaces_and_addresses(tmp_path: Path, version: str) -> None:
    async with running(tmp_path, Workloads()):
        status, output = await call(tmp_path, "ADD", version=version)
    assert status == 0
    result = json.loads(output)
    assert result["cniVersion"] == version
    assert result["interfaces"][1] == {"name": "eth0", "mac": "0a:00:00:00:00:01", "sandbox": "/run/netns/none"}
    assert [ip["address"] for ip in result["ips"]] == ["10.65.0.1/32", "fd00::1/128"]
    assert ("version" in result["ips"][0]) == (version < "1.0.0")


@pytest.mark.parametrize("version", ["0.4.0", "1.1.0"])
async def test_version_is_answered_without_an_agent_in_the_version_asked_for(tmp_path: Path, version: str) -> None:
    status, output = await call(tmp_path, "VERSION", version=version)
    assert status == 0
    assert json.loads(output) == {"cniVersion": version, "supportedVersions": list(SUPPORTED_VERSIONS)}


async def test_version_needs_nothing_of_what_other_commands_need(tmp_path: Path) -> None:
    """Podman asks so."""
    for config in (b"", b"{", b'{"cniVersion":1}', b"[]"):
        process = await asyncio.create_subprocess_exec(
            PLUGIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"CNI_COMMAND": "VERSION", "CNI_PATH": "dummy"}
        )
        output, _ = await process.communicate(config)
        assert (process.returncode, json.loads(output)["cniVersion"]) == (0, "1.1.0")


async def test_check_and_status_say_nothing_when_all_is_well(tmp_path: Path) -> None:
    workloads = Workloads()
    async with running(tmp_path, workloads):
        assert await call(tmp_path, "CHECK", version="0.4.0") == (0, b"")
        assert await call(tmp_path, "STATUS", version="1.1.0") == (0, b"")
    assert [command for command, _ in workloads.calls] == ["CHECK", "STATUS"]


@pytest.mark.parametrize(("command", "version"), [("CHECK", "0.3.1"), ("STATUS", "1.0.0"), ("GC", "1.0.0")])
async def test_commands_that_a_version_does_not_know_are_refused(tmp_path: Path, command: str, version: str) -> None:
    workloads = Workloads()
    async with running(tmp_path, workloads):
        status, output = await call(tmp_path, command, version=version)
    assert (status, json.loads(output)["code"], workloads.calls) == (1, 1, [])


async def test_a_command_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, Workloads()):
        status, output = await call(tmp_path, "DANCE")
    assert (status, json.loads(output)["code"]) == (1, 4)
    assert "DANCE" in json.loads(output)["msg"]


async def test_gc_takes_away_what_is_stale_and_goes_on_after_a_failure(tmp_path: Path) -> None:
    class Stubborn(Workloads):
        async def delete(self, request: Request) -> None:
            self.calls.append((request.command, request.container_id))
            if request.container_id == "stuck":
                raise CniError(TRY_AGAIN_LATER, "the endpoint is being written by others")

    workloads = Stubborn()
    workloads.forgotten = ["one", "stuck", "two"]
    async with running(tmp_path, workloads):
        status, output = await call(tmp_path, "GC", version="1.1.0", container="")
        assert (status, json.loads(output)["code"]) == (1, TRY_AGAIN_LATER)
        workloads.forgotten.remove("stuck")
        assert await call(tmp_path, "GC", version="1.1.0", container="") == (0, b"")
    assert workloads.calls[1:4] == [("DEL", "one"), ("DEL", "stuck"), ("DEL", "two")]


@pytest.mark.parametrize("is_there", [True, False])
async def test_status_says_that_nothing_can_be_attached_while_the_agent_is_away_or_closed(
    tmp_path: Path, is_there: bool
) -> None:
    if is_there:
        async with opening(tmp_path, Workloads(), ["the datastore is locked"]):
            status, output = await call(tmp_path, "STATUS", version="1.1.0")
    else:
        status, output = await call(tmp_path, "STATUS", version="1.1.0")
    assert (status, json.loads(output)["code"], json.loads(output)["cniVersion"]) == (1, NOT_AVAILABLE, "1.1.0")


async def test_add_without_an_agent_says_so_and_asks_to_try_again(tmp_path: Path) -> None:
    status, output = await call(tmp_path, "ADD")
    assert status == 1
    result = json.loads(output)
    assert result["code"] == 11
    assert "tortie-agent" in result["msg"]


async def test_del_without_an_agent_is_kept_and_carried_out_before_anything_else(tmp_path: Path) -> None:
    assert await call(tmp_path, "DEL", "gone") == (0, b"")
    workloads = Workloads()
    async with running(tmp_path, workloads):
        assert (await call(tmp_path, "ADD", "new"))[0] == 0
    assert workloads.calls == [("DEL", "gone"), ("ADD", "new")]
    assert list((tmp_path / "cni-spool").iterdir()) == []


async def test_a_spooled_del_that_fails_is_kept_for_the_next_start(tmp_path: Path) -> None:
    await call(tmp_path, "DEL", "gone")
    workloads = Workloads()
    workloads.failure = Unavailable("no datastore")
    async with running(tmp_path, workloads):
        pass
    assert len(list((tmp_path / "cni-spool").iterdir())) == 1


async def test_errors_of_ours_become_the_specifications_answer(tmp_path: Path) -> None:
    workloads = Workloads()
    workloads.failure = Unavailable("the datastore does not answer")
    async with running(tmp_path, workloads):
        status, output = await call(tmp_path, "ADD")
    assert status == 1
    assert json.loads(output)["code"] == 11
    assert "does not answer" in json.loads(output)["details"]


async def test_a_version_that_we_do_not_speak_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path, Workloads()):
        status, output = await call(tmp_path, "ADD", version="9.9.9")
    assert (status, json.loads(output)["code"]) == (1, 1)


async def test_requests_for_one_pod_run_one_at_a_time(tmp_path: Path) -> None:
    workloads = Workloads()
    async with running(tmp_path, workloads):
        await asyncio.gather(*(call(tmp_path, "ADD", f"c{number}", pod="web-0") for number in range(4)))
    assert workloads.most_inside == 1


async def test_the_socket_is_for_root_only(tmp_path: Path) -> None:
    async with running(tmp_path, Workloads()):
        assert (tmp_path / "cni.sock").stat().st_mode & 0o777 == 0o600


async def test_requests_that_come_while_the_spool_is_carried_out_wait_for_it(tmp_path: Path) -> None:
    """What found no listener is in the spool; from the look into the spool on, everybody must find one."""
    await call(tmp_path, "DEL", "gone")
    go_on = asyncio.Event()

    class Slow(Workloads):
        async def delete(self, request: Request) -> None:
            await go_on.wait()
            await super().delete(request)

    workloads = Slow()
    task = asyncio.create_task(CniServer(tmp_path / "cni.sock", workloads).run())
    await eventually((tmp_path / "cni.sock").exists)
    adding = asyncio.create_task(call(tmp_path, "ADD", "new"))
    deleting = asyncio.create_task(call(tmp_path, "DEL", "other"))
    await asyncio.sleep(0.1)
    assert workloads.calls == []
    go_on.set()
    assert (await adding)[0] == (await deleting)[0] == 0
    assert workloads.calls[0] == ("DEL", "gone")
    assert sorted(workloads.calls[1:]) == [("ADD", "new"), ("DEL", "other")]
    assert list((tmp_path / "cni-spool").iterdir()) == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_spool_is_looked_into_again_while_serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "SPOOL_SECONDS", 0.01)
    await call(tmp_path, "DEL", "gone")
    workloads = Workloads()
    workloads.failure = CniError(TRY_AGAIN_LATER, "the endpoint is being written by others")
    async with running(tmp_path, workloads):
        assert len(list((tmp_path / "cni-spool").iterdir())) == 1
        workloads.failure = None
        await eventually(lambda: not list((tmp_path / "cni-spool").iterdir()))
    assert workloads.calls[-1] == ("DEL", "gone")


async def test_an_add_under_way_when_the_agent_ends_is_cancelled_and_fails(tmp_path: Path) -> None:
    cancelled, begun = asyncio.Event(), asyncio.Event()

    class Endless(Workloads):
        async def add(self, request: Request) -> Attachment:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            raise AssertionError

    task = asyncio.create_task(CniServer(tmp_path / "cni.sock", Endless()).run())
    await eventually((tmp_path / "cni.sock").exists)
    adding = asyncio.create_task(call(tmp_path, "ADD"))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert cancelled.is_set()
    status, output = await adding
    assert (status, json.loads(output)["code"]) == (1, 11)


@asynccontextmanager
async def opening(directory: Path, workloads: Workloads, reasons: list[str]) -> AsyncIterator[asyncio.Event]:
    """A server that is closed for as long as there is a reason."""
    opened = asyncio.Event()
    server = CniServer(directory / "cni.sock", workloads, lambda: "".join(reasons))
    task = asyncio.create_task(server.run(opened))
    await eventually((directory / "cni.sock").exists)
    try:
        yield opened
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_while_nothing_can_be_carried_out_add_is_to_come_later_with_the_reason_and_del_is_kept(
    tmp_path: Path,
) -> None:
    workloads, reasons = Workloads(), ["the datastore is locked"]
    async with opening(tmp_path, workloads, reasons) as opened:
        status, output = await call(tmp_path, "ADD")
        assert (status, json.loads(output)["code"]) == (1, TRY_AGAIN_LATER)
        assert json.loads(output)["details"] == "the datastore is locked"
        assert await call(tmp_path, "DEL", container="gone") == (0, b"")
        assert [path.name for path in (tmp_path / "cni-spool").iterdir()] == ["gone-eth0"]
        assert workloads.calls == []
        assert not opened.is_set()
        reasons.clear()
        await opened.wait()
        assert workloads.calls == [("DEL", "gone")]
        assert (await call(tmp_path, "ADD"))[0] == 0


async def test_a_del_that_the_datastore_cannot_be_told_is_kept_and_carried_out_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SPOOL_SECONDS", 0.01)
    workloads = Workloads()
    workloads.failure = Unavailable("nobody answers")
    async with running(tmp_path, workloads):
        assert await call(tmp_path, "DEL") == (0, b"")
        assert len(list((tmp_path / "cni-spool").iterdir())) == 1
        workloads.failure = None
        await eventually(lambda: not list((tmp_path / "cni-spool").iterdir()))
    assert workloads.calls[-1] == ("DEL", "c1")


async def test_a_del_that_cannot_even_be_kept_is_to_come_again(tmp_path: Path) -> None:
    (tmp_path / "cni-spool").write_text("a file where the folder should be")
    async with opening(tmp_path, Workloads(), ["closed"]):
        status, output = await call(tmp_path, "DEL")
    assert (status, json.loads(output)["code"]) == (1, TRY_AGAIN_LATER)
