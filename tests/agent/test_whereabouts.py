"""Where an agent's datastore is: every source that speaks of it, which wins, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.agent.main import show
from tortie.agent.settings import read_settings
from tortie.base.errors import InvalidResource
from tortie.datastore.etcd.settings import EtcdSettings

SECRET = "correct-horse"


def etcd(environment: dict[str, str], file: str = "") -> EtcdSettings:
    """Where such an agent's etcd is."""
    found = read_settings(environment, file)[0].datastore
    assert isinstance(found, EtcdSettings)
    return found


@pytest.mark.parametrize(
    ("environment", "urls"),
    [
        ({"TORTIE_DATASTORE": "http://a:1, http://b:2"}, ["http://a:1", "http://b:2"]),
        ({"TORTIE_ETCD_ENDPOINTS": "http://a:1"}, ["http://a:1"]),
        ({"ETCD_ENDPOINTS": "http://a:1,http://b:2"}, ["http://a:1", "http://b:2"]),
        ({"ETCD_ENDPOINTS": "http://a:1", "CALICO_ETCD_ENDPOINTS": "http://b:1"}, ["http://b:1"]),
        ({"CALICO_ETCD_ENDPOINTS": "http://a:1", "FELIX_ETCDENDPOINTS": "http://b:1"}, ["http://b:1"]),
        ({"FELIX_ETCDENDPOINTS": "http://a:1", "TORTIE_DATASTORE": "http://b:1"}, ["http://b:1"]),
        ({"DATASTORE_TYPE": "etcdv3", "ETCD_ENDPOINTS": "https://a:1"}, ["https://a:1"]),
        ({"FELIX_DATASTORETYPE": "etcdv3"}, ["http://127.0.0.1:2379"]),
        ({"FELIX_ETCDADDR": "etcd-1:2379"}, ["http://etcd-1:2379"]),
        ({"FELIX_ETCDADDR": "etcd-1:2379", "FELIX_ETCDSCHEME": "HTTPS"}, ["https://etcd-1:2379"]),
        ({"FELIX_ETCDADDR": "etcd-1:2379", "FELIX_ETCDENDPOINTS": "http://a:1"}, ["http://a:1"]),
        ({"DATASTORE_TYPE": "kubernetes", "FELIX_DATASTORETYPE": "etcdv3"}, ["http://127.0.0.1:2379"]),
        ({"DATASTORE_TYPE": "kubernetes", "TORTIE_DATASTORE": "http://a:1"}, ["http://a:1"]),
    ],
)
def test_everything_that_names_an_etcd_is_understood_and_the_nearest_to_us_wins(
    environment: dict[str, str], urls: list[str]
) -> None:
    assert list(etcd(environment).endpoints) == urls


def test_the_environment_wins_over_the_file_whichever_names_an_etcd() -> None:
    by_url = {"ETCD_ENDPOINTS": "http://a:1"}
    assert list(etcd(by_url, "datastore = /x.db\n").endpoints) == ["http://a:1"]
    assert list(etcd({}, "etcd_endpoints = http://b:1\n").endpoints) == ["http://b:1"]
    by_path = {"TORTIE_DATASTORE": "/x.db"}
    assert read_settings(by_path, "etcd_endpoints = http://b:1\n")[0].datastore == Path("/x.db")
    assert read_settings({**by_url, **by_path})[0].datastore == Path("/x.db")


def test_how_to_be_let_in_comes_from_anywhere() -> None:
    found = etcd(
        {
            "FELIX_ETCDENDPOINTS": "https://a:1",
            "ETCD_USERNAME": "felix",
            "CALICO_ETCD_PASSWORD": SECRET,
            "FELIX_ETCDCAFILE": "/ca",
            "ETCD_CERT_FILE": "/ignored",
            "FELIX_ETCDCERTFILE": "/cert",
        },
        "etcd_key_file = /key\n",
    )
    assert (found.username, found.password, found.ca) == ("felix", SECRET, "/ca")
    assert (found.certificate, found.key) == ("/cert", "/key")


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"DATASTORE_TYPE": "kubernetes"}, "'kubernetes' is not supported (use etcdv3 or a file of ours)"),
        ({"ETCD_ENDPOINTS": "etcd-1"}, "'etcd-1' is no URL with a port (such as https://etcd-1.example:2379)"),
        ({"ETCD_ENDPOINTS": "http://a:1", "ETCD_USERNAME": "x"}, "username and password belong together"),
        ({"ETCD_ENDPOINTS": "http://a:1", "ETCD_KEY_FILE": "/x"}, "certificate and key belong together"),
        ({"ETCD_DISCOVERY_SRV": "example.com"}, "etcdDiscoverySrv: is not supported (name the servers"),
        ({"TORTIE_DATASTORE": "etcd-1:2379"}, "use the whole path of a file, or URLs such as http://127.0.0.1:2379"),
    ],
)
def test_what_cannot_be_used_is_said_at_the_start(environment: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        read_settings(environment)
    assert problem in str(caught.value)


def test_the_effective_place_is_shown_with_what_named_it() -> None:
    assert read_settings({})[1]["datastore"].value == "/var/lib/tortie/datastore.db"
    origin = read_settings({"FELIX_ETCDADDR": "a:1"})[1]["datastore"]
    assert (origin.value, origin.source) == ("http://a:1", "environment FELIX_ETCDADDR")
    origin = read_settings({"FELIX_DATASTORETYPE": "etcdv3"})[1]["datastore"]
    assert (origin.value, origin.source) == ("http://127.0.0.1:2379", "environment FELIX_DATASTORETYPE")


def test_no_secret_is_shown_and_the_user_is(capsys: pytest.CaptureFixture[str]) -> None:
    settings, origins = read_settings(
        {
            "ETCD_ENDPOINTS": "https://a:1",
            "ETCD_USERNAME": "felix",
            "ETCD_PASSWORD": SECRET,
            "ETCD_CERT_FILE": "/cert",
            "ETCD_KEY_FILE": f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
        }
    )
    show(origins)
    printed = capsys.readouterr().out
    assert SECRET not in printed + repr(settings) + repr(origins)
    assert "etcd_username = felix    # environment ETCD_USERNAME" in printed
    assert "etcd_password = (hidden)    # environment ETCD_PASSWORD" in printed
    assert "etcd_key_file = (hidden)    # environment ETCD_KEY_FILE" in printed


@pytest.mark.parametrize("variable", ["TORTIE_DATASTORE", "ETCD_ENDPOINTS"])
def test_a_password_in_a_url_is_refused_without_being_repeated(variable: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        read_settings({variable: f"http://felix:{SECRET}@a:1"})
    assert SECRET not in str(caught.value)
    assert "set etcd_username and etcd_password" in str(caught.value)


@pytest.mark.parametrize("variable", ["ETCD_ENDPOINT", "ETCD_CA_CERT_FILE"])
def test_what_is_said_of_an_etcd_that_none_names_is_no_reason_to_take_the_file(variable: str) -> None:
    with pytest.raises(InvalidResource, match=f"environment: {variable}: .*ETCD_ENDPOINTS"):
        read_settings({variable: "x"})
