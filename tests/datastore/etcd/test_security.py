"""Certificates and passwords: who is let in, and tokens that expire."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tortie.base.errors import Unavailable
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings


def openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_certificates(folder: Path) -> Mapping[str, Path]:
    """An authority, and one certificate of it for 127.0.0.1 that serves both sides."""
    paths = {name: folder / f"{name}.pem" for name in ("cacert", "cakey", "cert", "key")}
    request, extensions = folder / "request.pem", folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\n")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*new, "-x509", "-subj", "/CN=authority", "-keyout", paths["cakey"], "-out", paths["cacert"])
    openssl(*new, "-subj", "/CN=tortie", "-keyout", paths["key"], "-out", request)
    signed = ("-CA", paths["cacert"], "-CAkey", paths["cakey"], "-CAcreateserial", "-extfile", extensions)
    openssl("x509", "-req", "-in", request, *signed, "-out", paths["cert"])
    return {name: paths[name] for name in ("cacert", "cert", "key")}


def read_texts(paths: Mapping[str, Path]) -> Mapping[str, str]:
    return {name: path.read_text() for name, path in paths.items()}


async def can_write(settings: EtcdSettings) -> bool:
    store = await EtcdDatastore.open(settings)
    try:
        return await store.put("/a", b"") > 0
    except Unavailable:
        return False
    finally:
        await store.close()


async def test_only_who_shows_a_certificate_and_knows_the_authority_is_served(
    make_etcd: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "tls").mkdir()
    tls = make_certificates(tmp_path / "tls")
    contents = read_texts(tls)
    etcd = make_etcd(tls=tls)
    given: dict[str, Any] = {"endpoints": [etcd.url], "timeout": 5.0, "dial_timeout": 0.5}
    pair = {"certificate": str(tls["cert"]), "key": str(tls["key"])}
    authority = {"ca": str(tls["cacert"])}
    assert await can_write(EtcdSettings(**given, **pair, **authority))
    in_line = {"ca": contents["cacert"], "certificate": contents["cert"], "key": contents["key"]}
    assert await can_write(EtcdSettings(**given, **in_line))
    assert not await can_write(EtcdSettings(**given, **authority))
    assert not await can_write(EtcdSettings(**given, **pair))
    assert not await can_write(EtcdSettings(**{**given, "endpoints": [etcd.url.replace("https", "http")]}))


async def test_a_password_lets_in_and_an_expired_token_is_renewed(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd(options=["--auth-token-ttl=1", "--bcrypt-cost=4"])
    for command in ("user add root:hush", "user grant-role root root", "auth enable"):
        etcd.control(*command.split())
    given: dict[str, Any] = {"endpoints": [etcd.url], "timeout": 2.0}
    assert not await can_write(EtcdSettings(**given))
    assert not await can_write(EtcdSettings(**given, username="root", password="wrong"))

    store = await EtcdDatastore.open(EtcdSettings(**given, username="root", password="hush"))
    start = await store.put("/p/0", b"")
    async with aclosing(store.watch("/p/", start - 1)) as watch:
        assert len((await anext(watch)).events) == 1
        # Tokens of this kind do not outlive the server.
        etcd.stop()
        etcd.start("--user=root:hush")
        again = await store.put("/p/1", b"")
        assert [event.revision for event in (await anext(watch)).events] == [again]
        store._cluster._token = "no.1"
        assert await store.get("/p/1")
        store._cluster._token = "no.2"
        assert (await anext(store.watch("/p/", start))).revision == again
    await store.close()


async def test_a_password_may_be_given_before_it_is_asked_for(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd(options=["--bcrypt-cost=4"])
    settings = EtcdSettings(endpoints=[etcd.url], timeout=2.0, username="root", password="hush")
    store = await EtcdDatastore.open(settings)
    start = await store.put("/p/a", b"")
    async with aclosing(store.watch("/p/", start - 1)) as watch:
        assert len((await anext(watch)).events) == 1
    for command in ("user add root:hush", "user grant-role root root", "auth enable"):
        etcd.control(*command.split())
    assert await store.put("/p/b", b"") > start
    async with aclosing(store.watch("/p/", start)) as watch:
        assert [event.key for event in (await anext(watch)).events] == ["/p/b"]
    await store.close()


async def test_a_user_sees_no_more_than_it_may(make_etcd: Callable[..., Any]) -> None:
    etcd = make_etcd(options=["--bcrypt-cost=4"])
    role = ("role add reader", "role grant-permission reader read /p/ --prefix")
    users = ("user add root:hush", "user grant-role root root", "user add eve:hush", "user grant-role eve reader")
    for command in (*role, *users, "auth enable"):
        etcd.control(*command.split())
    settings = EtcdSettings(endpoints=[etcd.url], timeout=0.5, username="eve", password="hush")
    store = await EtcdDatastore.open(settings)
    assert (await store.list("/p/")).items == []
    for refused in (store.put("/p/a", b""), store.list("/q/"), anext(store.watch("/q/", 0))):
        with pytest.raises(Unavailable, match="permission denied"):
            await refused
    await store.close()
