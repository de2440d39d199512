"""The datastore is where the environment or calicoctl's file says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tortie.base.errors import InvalidResource
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.etcd.driver import EtcdDatastore
from tortie.datastore.etcd.settings import EtcdSettings
from tortie.datastore.location import DEFAULT_FILE, Location, find_location
from tortie.datastore.open import open_datastore

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
HEADER = "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata: {}\n"
ABSENT = Path("/nowhere/calicoctl.cfg")


def etcd(*endpoints: str, **changed: str) -> EtcdSettings:
    return EtcdSettings(endpoints=list(endpoints), **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, DEFAULT_FILE),
        ({"TORTIE_DATASTORE": "/run/a.db", "ETCD_ENDPOINTS": "http://a:1"}, Path("/run/a.db")),
        ({"TORTIE_DATASTORE": "http://a:1,http://b:1"}, etcd("http://a:1", "http://b:1")),
        ({"TORTIE_DATASTORE": "http://a:1", "DATASTORE_TYPE": "kubernetes"}, etcd("http://a:1")),
        ({"ETCD_ENDPOINTS": "http://a:1, http://b:1"}, etcd("http://a:1", "http://b:1")),
        ({"ETCD_ENDPOINTS": "http://a:1", "CALICO_ETCD_ENDPOINTS": "http://b:1"}, etcd("http://b:1")),
        ({"DATASTORE_TYPE": "etcdv3", "ETCD_ENDPOINTS": "http://a:1"}, etcd("http://a:1")),
        (
            {"ETCD_ENDPOINTS": "https://a:1", "ETCD_USERNAME": "u", "ETCD_PASSWORD": "p", "ETCD_CA_CERT_FILE": "/ca"},
            etcd("https://a:1", username="u", password="p", ca="/ca"),
        ),
        (
            {"ETCD_ENDPOINTS": "https://a:1", "ETCD_KEY_FILE": "/key", "ETCD_CERT_FILE": "/cert"},
            etcd("https://a:1", key="/key", certificate="/cert"),
        ),
    ],
)
def test_the_environment_tells_where_the_datastore_is(environment: Mapping[str, str], expected: Location) -> None:
    assert find_location(environment, ABSENT) == expected


def test_a_file_wins_over_the_environment_except_over_our_own_variable(tmp_path: Path) -> None:
    config = tmp_path / "calicoctl.cfg"
    key = PEM.replace("\n", "\n      ").rstrip()
    config.write_text(
        f"{HEADER}spec:\n  datastoreType: etcdv3\n  etcdEndpoints: https://f:1\n  k8sClientQPS: 5\n"
        f"  etcdCertFile: /cert\n  etcdKey: |\n      {key}\n"
    )
    assert find_location({"ETCD_ENDPOINTS": "http://a:1"}, config) == etcd("https://f:1", certificate="/cert", key=PEM)
    assert find_location({"TORTIE_DATASTORE": "/a.db"}, config) == Path("/a.db")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (HEADER.replace("v3", "v2"), "apiVersion: 'projectcalico.org/v2' is not known"),
        (HEADER.replace("CalicoAPIConfig", "Node"), "kind: 'Node' is not known"),
        (
            HEADER + "spec:\n  etcdEndpoint: http://a:1\n",
            "cfg:5:3: CalicoAPIConfig: spec.etcdEndpoint: is not known (did you mean etcdEndpoints?)",
        ),
        (HEADER + "specs: {}\n", "specs"),
        (HEADER + "spec: [\n", "cfg:5:1: document: a value is missing"),
        ("", "got `null` (begin with apiVersion: projectcalico.org/v3 and kind: CalicoAPIConfig)"),
        (HEADER + "spec:\n  datastoreType: kubernetes\n", "'kubernetes' is not supported"),
        (HEADER + "spec:\n  etcdDiscoverySrv: example.org\n", "etcdDiscoverySrv: is not supported"),
        (HEADER + "spec: {}\n", "spec.etcdEndpoints: is missing, so it names no datastore (write the URLs"),
        (HEADER + "spec:\n  etcdCACertFile: /ca\n", "spec.etcdEndpoints: is missing"),
        (
            HEADER + "spec: {etcdEndpoints: 'http://a:1'}\n---\n" + HEADER,
            "cfg:6:1: CalicoAPIConfig: is one of several documents (keep one)",
        ),
        (HEADER + "spec:\n  etcdEndpoints: a\n  etcdKey: x\n  etcdKeyFile: y\n", "exclude each other"),
    ],
)
def test_a_file_that_is_wrong_is_an_error_that_names_it(tmp_path: Path, text: str, problem: str) -> None:
    config = tmp_path / "calicoctl.cfg"
    config.write_text(text)
    with pytest.raises(InvalidResource) as caught:
        find_location({}, config)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "problem"),
    [
        ("ETCD_ENDPOINT", "environment: ETCD_ENDPOINT: is not known (did you mean ETCD_ENDPOINTS?)"),
        ("CALICO_ETCD_ENDPIONTS", "CALICO_ETCD_ENDPIONTS: is not known (did you mean CALICO_ETCD_ENDPOINTS?)"),
        ("ETCD_CACERT_FILE", "(did you mean ETCD_CA_CERT_FILE?)"),
        ("ETCD_CA_CERT_FILE", "ETCD_CA_CERT_FILE: is set, but ETCD_ENDPOINTS is not (set ETCD_ENDPOINTS to the URLs"),
        ("CALICO_ETCD_USERNAME", "CALICO_ETCD_USERNAME: is set, but ETCD_ENDPOINTS is not"),
    ],
)
def test_variables_about_an_etcd_that_none_names_are_an_error_and_no_reason_to_take_the_file(
    variable: str, problem: str
) -> None:
    with pytest.raises(InvalidResource) as caught:
        find_location({variable: "x"}, ABSENT)
    assert problem in str(caught.value)
    assert find_location({variable: "x", "TORTIE_DATASTORE": "/a.db"}, ABSENT) == Path("/a.db")


def test_variables_of_the_programs_of_etcd_mean_nothing() -> None:
    names = ("ETCD_NAME", "ETCD_DATA_DIR", "ETCD_LISTEN_CLIENT_URLS", "ETCD_TRUSTED_CA_FILE", "ETCDCTL_ENDPOINTS")
    assert find_location(dict.fromkeys(names, "x"), ABSENT) == DEFAULT_FILE


@pytest.mark.parametrize("environment", [{"DATASTORE_TYPE": "etcdv3"}, {"TORTIE_DATASTORE": "http://a"}])
async def test_etcd_without_a_usable_endpoint_is_refused_when_it_is_opened(environment: dict[str, Any]) -> None:
    with pytest.raises(InvalidResource, match="endpoint"):
        await open_datastore(find_location(environment, ABSENT))


async def test_each_location_opens_its_driver(tmp_path: Path) -> None:
    embedded = await open_datastore(tmp_path / "a.db")
    cluster = await open_datastore(etcd("http://127.0.0.1:1"))
    assert isinstance(embedded, EmbeddedDatastore)
    assert isinstance(cluster, EtcdDatastore)
    await embedded.close()
    await cluster.close()


def test_grpc_writes_no_lines_of_its_own_and_nobodys_environment_is_changed() -> None:
    program = (
        "import asyncio, os, sys\n"
        "from tortie.base.errors import Unavailable\n"
        "from tortie.datastore.etcd.settings import EtcdSettings\n"
        "from tortie.datastore.open import open_datastore\n"
        "async def run():\n"
        "    store = await open_datastore(EtcdSettings(endpoints=['http://127.0.0.1:1']))\n"
        "    try:\n"
        "        await store.list('/')\n"
        "    except Unavailable:\n"
        "        print('GRPC_VERBOSITY' in os.environ)\n"
        "    if not os.fork():\n"
        "        os._exit(0)\n"
        "    await store.close()\n"
        "asyncio.run(run())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_grpc_is_loaded_by_those_who_use_etcd_only() -> None:
    program = (
        "import sys, tortie.datastore.open, tortie.cli.main, tortie.agent.main\n"
        "sys.exit('grpc' in sys.modules or 'google.protobuf' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
