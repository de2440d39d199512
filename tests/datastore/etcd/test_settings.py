"""Settings that name what must be corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tortie.base.errors import InvalidResource
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import Endpoint, EtcdSettings, Identity, read_endpoints, read_identity

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def test_endpoints_are_urls_of_names_and_of_both_families() -> None:
    settings = EtcdSettings(endpoints=["http://10.0.0.1:2379", " https://etcd.example:1/", "https://[fd00::1]:2379"])
    assert read_endpoints(settings) == [
        Endpoint("10.0.0.1:2379", False),
        Endpoint("etcd.example:1", True),
        Endpoint("[fd00::1]:2379", True),
    ]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"endpoints": []}, "endpoints"),
        ({"endpoints": ["http://a:1", "10.0.0.1:2379"]}, r"endpoints\[1\]"),
        ({"endpoints": ["http://a"]}, r"endpoints\[0\]"),
        ({"endpoints": ["http://\udcff:1"]}, r"endpoints\[0\]"),
        ({"username": "root"}, "password"),
        ({"username": "root", "password": "\udcff"}, "password: is not text in UTF-8"),
        ({"username": "\udcff", "password": "hush"}, "username: is not text in UTF-8"),
        ({"key": PEM}, "key"),
        ({"timeout": 0}, "timeout"),
        ({"ca": "/nowhere/ca.pem"}, "ca: /nowhere/ca.pem: No such file"),
        ({"ca": str(Path(__file__).with_name("conftest.py"))}, "ca: .*no PEM"),
    ],
)
async def test_a_wrong_setting_is_named(changed: dict[str, Any], field: str) -> None:
    settings = EtcdSettings(**{"endpoints": ["http://a:1"], **changed})
    with pytest.raises(InvalidResource, match=field):
        await EtcdDatastore.open(settings)


def test_certificates_are_files_or_their_contents(tmp_path: Path) -> None:
    (tmp_path / "ca").write_text(PEM)
    settings = EtcdSettings(endpoints=["https://a:1"], ca=str(tmp_path / "ca"), certificate=PEM, key=PEM)
    assert read_identity(settings) == Identity(PEM.encode(), PEM.encode(), PEM.encode())


def test_settings_that_are_printed_hold_no_secret() -> None:
    settings = EtcdSettings(endpoints=["http://a:1"], username="root", password="hush", key=PEM, certificate=PEM)
    assert "root" in repr(settings)
    assert "hush" not in f"{settings} {settings!r}"
    assert "AAAA" not in repr(settings)
