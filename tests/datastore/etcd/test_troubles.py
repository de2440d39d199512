"""Who cannot work with etcd is told why, and what to do next, each trouble its own."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tortie.base.errors import NotPermitted, OutcomeUnknown, Unavailable
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.etcd.troubles import TROUBLES, Failure, told

Opened = Callable[..., Awaitable[EtcdDatastore]]
Serve = Callable[[str], Awaitable[str]]

SETTINGS = EtcdSettings(endpoints=["http://a:2379", "http://b:2379"], username="sam", password="hush")


async def problem_of(store: EtcdDatastore, kind: type[Unavailable] = Unavailable) -> str:
    with pytest.raises(kind) as caught:
        await store.put("/p/a", b"")
    assert "hush" not in str(caught.value)
    return str(caught.value)


def test_every_trouble_has_a_remedy_that_can_be_filled_in_and_a_sign_of_its_own() -> None:
    for trouble in TROUBLES:
        for sign in trouble.signs:
            text = told(SETTINGS, Failure("a:2379", f"etcdserver: {sign}"))
            assert text.endswith(")"), text
            first = next(one for one in TROUBLES if any(each in sign for each in one.signs))
            assert first is trouble, f"{sign} is taken for {first.meaning}"
            assert not re.search(r"\{\w*\}", text), text


def test_servers_with_the_same_trouble_are_told_together_and_each_remedy_once() -> None:
    refused = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:1: Connection refused"
    lost = "errors resolving c:1: Domain name not found"
    text = told(SETTINGS, Failure("a:1", refused), Failure("b:1", refused), Failure("c:1", lost))
    meaning, _, remedies = text.partition(" (")
    assert meaning == (
        "etcd at a:1, b:1: cannot connect: nothing listens there; c:1: cannot connect: there is no host of this name"
    )
    assert remedies.count("start etcd there") == 1
    assert "--endpoints=http://a:2379,http://b:2379 endpoint health" in remedies
    assert "ETCD_ENDPOINTS" in remedies
    assert "calicoctl.cfg" in remedies


def test_what_nobody_has_seen_yet_is_told_without_the_noise_around_it() -> None:
    details = "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:1: Something new"
    assert told(SETTINGS, Failure("a:1", details)).startswith("etcd at a:1: Something new (ask it with `etcdctl")


# Nobody, or somebody else, is there


async def test_a_port_where_nothing_listens(opened: Opened) -> None:
    problem = await problem_of(await opened("http://127.0.0.1:1"))
    assert problem.startswith("etcd at 127.0.0.1:1: cannot connect: nothing listens there (start etcd there, or name")
    assert "`etcdctl --endpoints=http://127.0.0.1:1 endpoint health`" in problem


async def test_a_server_that_is_not_etcd(opened: Opened) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        store = await opened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert "what answers is not etcd (name the port" in await problem_of(store)


async def test_a_server_that_says_nothing(opened: Opened) -> None:
    finished = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await finished.wait()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        store = await opened(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", dial_timeout=0.2)
        assert "no connection in 0.2 s (is the host up, and does a firewall" in await problem_of(store)
        finished.set()


# TLS


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Path, Path]]:
    """Certificates and keys: two authorities, and what they signed for servers."""
    folder = tmp_path_factory.mktemp("certificates")
    made: dict[str, tuple[Path, Path]] = {}
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def pair(name: str) -> tuple[Path, Path]:
        made[name] = folder / f"{name}.pem", folder / f"{name}.key"
        return made[name]

    for name in ("authority", "stranger"):
        certificate, key = pair(name)
        openssl(*new, "-x509", "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
    for name, authority, alternative, days in (
        ("good", "authority", "IP:127.0.0.1", "1"),
        ("expired", "authority", "IP:127.0.0.1", "-1"),
        ("other name", "authority", "DNS:etcd.example", "1"),
        ("unknown authority", "stranger", "IP:127.0.0.1", "1"),
    ):
        certificate, key = pair(name)
        request, extensions = folder / "request", folder / "extensions"
        extensions.write_text(f"subjectAltName={alternative}\n")
        openssl(*new, "-subj", "/CN=etcd", "-keyout", key, "-out", request)
        by = ("-CA", made[authority][0], "-CAkey", made[authority][1], "-CAcreateserial", "-extfile", extensions)
        openssl("x509", "-req", "-days", days, "-in", request, *by, "-out", certificate)
    return made


@pytest.fixture
async def serve(certificates: Mapping[str, tuple[Path, Path]]) -> Any:
    """`await serve(name)` is the address of a server that shows that certificate."""
    servers: list[asyncio.Server] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    async def begin(name: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates[name])
        context.set_alpn_protocols(["h2"])
        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context))
        return f"127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}"

    yield begin
    for server in servers:
        server.close()


@pytest.mark.parametrize(
    ("certificate", "meaning"),
    [
        ("expired", "its certificate has expired (renew the server's certificate"),
        ("other name", "its certificate is for other names (name the server in"),
        ("unknown authority", "its certificate is signed by an authority that is not known here (name the authority"),
    ],
)
async def test_a_certificate_that_cannot_be_trusted(
    certificate: str, meaning: str, opened: Opened, serve: Serve, certificates: Mapping[str, tuple[Path, Path]]
) -> None:
    address = await serve(certificate)
    store = await opened(f"https://{address}", ca=str(certificates["authority"][0]))
    assert (await problem_of(store)).startswith(f"etcd at {address}: cannot connect: {meaning}")


async def test_a_server_that_speaks_tls_to_who_does_not(opened: Opened, serve: Serve) -> None:
    assert "if it speaks TLS, write https://" in await problem_of(await opened(f"http://{await serve('good')}"))


async def test_a_server_that_does_not_speak_tls(etcd: Any, opened: Opened) -> None:
    assert "it does not speak TLS (write http://" in await problem_of(await opened(etcd.url.replace("http:", "https:")))


async def test_a_server_that_wants_a_certificate(
    make_etcd: Callable[..., Any], opened: Opened, certificates: Mapping[str, tuple[Path, Path]]
) -> None:
    authority, (certificate, key) = certificates["authority"][0], certificates["good"]
    etcd = make_etcd(tls={"cacert": authority, "cert": certificate, "key": key})
    wrong = dict(zip(("certificate", "key"), map(str, certificates["unknown authority"]), strict=True))
    for shown in ({}, wrong):
        problem = await problem_of(await opened(etcd.url, ca=str(authority), **shown))
        assert "it refuses our certificate, or wants one (show one that" in problem


async def test_a_key_of_another_certificate(
    opened: Opened, serve: Serve, certificates: Mapping[str, tuple[Path, Path]]
) -> None:
    address = await serve("good")
    mixed = {"certificate": str(certificates["good"][0]), "key": str(certificates["stranger"][1])}
    store = await opened(f"https://{address}", ca=str(certificates["authority"][0]), **mixed)
    assert "our certificate and key do not belong together, or are damaged (give the key" in await problem_of(store)


# What etcd itself refuses


async def test_users_that_are_unknown_or_may_not(make_etcd: Callable[..., Any], opened: Opened) -> None:
    etcd = make_etcd(options=["--bcrypt-cost=4"])
    sam = {"username": "sam", "password": "hush"}
    for command in ("user add root:hush", "user grant-role root root", "user add sam:hush", "auth enable"):
        etcd.control(*command.split())
    assert "etcd asks for a user: set ETCD_USERNAME" in await problem_of(await opened(etcd.url), NotPermitted)
    unknown = await problem_of(await opened(etcd.url, username="sam", password="wrong"), NotPermitted)
    assert "invalid user ID or password (correct ETCD_USERNAME and ETCD_PASSWORD" in unknown
    assert "permission denied (`etcdctl user get sam` shows" in await problem_of(
        await opened(etcd.url, **sam), NotPermitted
    )
    with pytest.raises(NotPermitted, match=r"the watch of /p/ was refused: .*permission denied.* grant-role sam"):
        await anext((await opened(etcd.url, timeout=0.3, **sam)).watch("/p/", 0))


async def test_a_server_without_room(make_etcd: Callable[..., Any], opened: Opened) -> None:
    etcd = make_etcd(options=["--quota-backend-bytes=200000"])
    store = await opened(etcd.url)
    with pytest.raises(Unavailable, match=r"database space exceeded \(make room with .*then `etcdctl alarm disarm`"):
        for number in range(100):
            await store.put(f"/p/{number}", bytes(50_000))


async def test_a_server_that_stands_still(etcd: Any, opened: Opened, relay_to: Any) -> None:
    relay = await relay_to(etcd.url)
    store = await opened(relay.url, timeout=0.3)
    await store.put("/p/a", b"")
    relay.is_deaf = True
    assert "no answer in 0.3 s (etcd is overloaded, its disk slow" in await problem_of(store)


# What became of a write


async def test_of_a_write_that_was_sent_and_not_answered_nobody_knows(
    etcd: Any, opened: Opened, relay_to: Callable[[str], Awaitable[Any]]
) -> None:
    relay = await relay_to(etcd.url)
    store = await opened(relay.url, timeout=0.5)
    await store.get("/p/a")
    relay.is_deaf = True
    with pytest.raises(OutcomeUnknown, match="no answer in"):
        await store.create("/p/a", b"x")
    assert etcd.control("get", "/p/a") == "/p/a\nx\n"
    await relay.cut()


async def test_a_connection_that_breaks_before_the_answer_leaves_a_write_unknown(
    etcd: Any, opened: Opened, relay_to: Callable[[str], Awaitable[Any]]
) -> None:
    relay = await relay_to(etcd.url)
    store = await opened(relay.url, timeout=5)
    await store.get("/p/a")
    relay.is_deaf = True
    writing = asyncio.ensure_future(store.create("/p/a", b"x"))
    for _ in range(500):
        if etcd.control("get", "/p/a"):
            break
        await asyncio.sleep(0.01)
    await relay.cut()
    with pytest.raises(OutcomeUnknown):
        await writing


async def test_a_write_that_nobody_was_there_for_was_not_made(opened: Opened) -> None:
    store = await opened("http://127.0.0.1:1")
    with pytest.raises(Unavailable) as caught:
        await store.create("/p/a", b"x")
    assert not isinstance(caught.value, OutcomeUnknown)
