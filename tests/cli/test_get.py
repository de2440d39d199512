"""`tortie get`: what is named, in which form, and what is said of what is not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from tortie.api.resource import ResourceKey
from tortie.cli.main import tortie
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.keys import resource_key

Run = Callable[..., Result]
StoreValue = Callable[[str, bytes], None]
StoreValue = Callable[[str, bytes], None]

PROGRAM = Path(sys.executable).with_name("tortie")
PATIENCE_SECONDS = 30.0

RESOURCES = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security, labels: {team: red}}
spec: {order: 100, defaultAction: Pass}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: later, labels: {team: blue}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: knp.default.web, namespace: shop, labels: {app: web}}
spec: {selector: role == 'web', order: 20, ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop, labels: {app: db, owner: alice}}
spec: {tier: security, order: 10, selector: role == 'db', ingress: [{action: Deny}]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: pay}
spec: {order: 5, egress: [{action: Deny}]}
"""


@pytest.fixture
def full(run: Run) -> Run:
    """The command on a datastore with the resources above."""
    applied = run("apply", "-f", "-", text=RESOURCES)
    assert applied.exit_code == 0, applied.output
    return run


def names(result: Result) -> list[str]:
    """The first words of the lines."""
    return [line.split()[0] for line in result.stdout.splitlines() if line]


def test_several_kinds_are_several_tables_whose_names_can_be_used_again(full: Run) -> None:
    shown = full("get", "tiers,np", "-A")
    tiers, policies = shown.stdout.split("\n\n")
    assert tiers.splitlines()[-1].split() == ["tier/security", "100", "Pass"]
    assert [line.split()[1] for line in policies.splitlines()] == [
        "NAME",
        "networkpolicy/db",
        "networkpolicy/db",
        "networkpolicy/knp.default.web",
    ]
    assert full("get", "tier/security", "networkpolicy/db", "-n", "shop", "-o", "name").stdout.splitlines() == [
        "tier/security",
        "networkpolicy/db",
    ]


def test_all_is_policy_and_what_it_applies_to(full: Run) -> None:
    assert {name.split("/")[0] for name in full("get", "all", "-A", "-o", "name").stdout.split()} == {
        "tier",
        "networkpolicy",
    }


def test_the_api_group_may_follow_a_kind(full: Run) -> None:
    assert "tier/later" in full("get", "tiers.projectcalico.org", "-o", "name").stdout


def test_the_found_are_shown_and_the_missing_told(full: Run) -> None:
    result = full("get", "tier", "security", "nothing", "later")
    assert (result.exit_code, names(result)) == (1, ["NAME", "security", "later"])
    assert result.stderr == "Tier nothing does not exist\n"
    quiet = full("get", "tier", "nothing", "--ignore-not-found")
    assert (quiet.exit_code, quiet.output) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("np", "web", "-n", "shop"), "did you mean knp.default.web?"),
        (("np", "db"), "did you mean db in namespace pay or db in namespace shop?"),
        (("np", "dbb", "-n", "shop"), "did you mean db?"),
        (("tier", "securty"), "did you mean security?"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_what_may_have_been_meant(
    full: Run, arguments: tuple[str, ...], hint: str
) -> None:
    assert hint in full("get", *arguments).stderr


@pytest.mark.parametrize(
    ("selector", "found"),
    {
        "app=web": ["knp.default.web"],
        "app==db,owner": ["db"],
        "app!=web": ["db"],
        "!owner": ["knp.default.web"],
        "app in (web, other)": ["knp.default.web"],
        "app notin (web),owner=alice": ["db"],
        "app == 'db' || app == 'web'": ["db", "knp.default.web"],
        "has(owner)": ["db"],
        "all()": ["db", "knp.default.web"],
    }.items(),
)
def test_labels_are_selected_in_both_languages(full: Run, selector: str, found: list[str]) -> None:
    assert names(full("get", "np", "-n", "shop", "-l", selector, "-o", "custom-columns=NAME", "--no-headers")) == found


def test_a_selector_that_is_none_is_wrong_usage(full: Run) -> None:
    result = full("get", "np", "-l", "app = 'x'")
    assert (result.exit_code, "selector" in result.output) == (2, True)


def test_labels_age_and_all_columns_are_shown_when_asked_for(full: Run) -> None:
    headings = full("get", "tiers", "-o", "wide", "--show-labels").stdout.splitlines()[0].split()
    assert headings == ["NAME", "ORDER", "DEFAULT", "ACTION", "AGE", "LABELS"]
    assert full("get", "tiers", "--show-labels").stdout.splitlines()[-1].split()[-1] == "team=red"


def test_results_are_sorted_by_a_field_with_the_lacking_last(full: Run) -> None:
    by_order = full("get", "np", "-A", "--sort-by=.spec.order", "-o", "jsonpath={.items[*].spec.order}")
    assert by_order.stdout == "5 10 20\n"
    assert names(full("get", "tiers", "--sort-by={.metadata.labels.team}"))[:3] == ["NAME", "later", "security"]
    assert full("get", "tiers", "--sort-by=.spec[").exit_code == 2


@pytest.mark.parametrize(
    ("form", "text"),
    {
        "jsonpath={.items[*].metadata.name}": "db knp.default.web\n",
        "jsonpath=.items[0].spec.tier": "security\n",
        "go-template={{range .items}}{{.metadata.name}};{{end}}": "db;knp.default.web;\n",
        "jsonpath={range .items[*]}{.metadata.name}{'\\n'}{end}": "db\nknp.default.web\n",
        "custom-columns=N:.metadata.name,PORT:.spec.ingress[*].destination.ports,ORDER": (
            "N                 PORT   ORDER\ndb                -      10\nknp.default.web   [80]   20\n"
        ),
        "name": "networkpolicy/db\nnetworkpolicy/knp.default.web\n",
    }.items(),
)
def test_templates_and_columns_print_what_they_say(full: Run, form: str, text: str) -> None:
    assert full("get", "np", "-n", "shop", "-o", form).stdout == text


def test_templates_may_stand_in_files(full: Run, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.write_text("{.metadata.name} {.spec.order}")
    assert full("get", "tier", "security", "-o", f"jsonpath-file={template}").stdout == "security 100\n"
    template.write_text("NAME            ORDER\n.metadata.name  .spec.order\n")
    shown = full("get", "tier", "security", "-o", f"custom-columns-file={template}").stdout
    assert shown.split() == ["NAME", "ORDER", "security", "100"]
    missing = full("get", "tiers", "-o", f"jsonpath-file={tmp_path / 'none'}")
    assert (missing.exit_code, "No such file" in missing.output) == (2, True)


@pytest.mark.parametrize(
    ("form", "words"),
    {
        "jsn": "did you mean json?",
        "jsonpath": "jsonpath needs an argument, as in jsonpath=",
        "jsonpath={.a[}": "at character 5",
        "go-template={{template `x`}}": "not supported",
        "custom-columns=NMAE": "HEADING:PATH",
        "yaml=x": "is not a format",
    }.items(),
)
def test_a_format_that_is_none_is_wrong_usage_and_told_why(full: Run, form: str, words: str) -> None:
    result = full("get", "tiers", "-o", form)
    assert (result.exit_code, words in result.output) == (2, True), result.output


def test_export_leaves_out_what_belongs_to_this_cluster(full: Run) -> None:
    plain = yaml.safe_load(full("get", "tier", "security", "-o", "yaml").stdout)["metadata"]
    assert {"uid", "resourceVersion", "creationTimestamp"} <= plain.keys()
    kept = yaml.safe_load(full("get", "tier", "security", "-o", "yaml", "--export").stdout)["metadata"]
    assert kept == {"name": "security", "labels": {"team": "red"}}


def test_what_a_file_names_is_shown(full: Run) -> None:
    result = full("get", "-f", "-", "-o", "name", text=RESOURCES)
    assert sorted(result.stdout.split()) == [
        "networkpolicy/db",
        "networkpolicy/db",
        "networkpolicy/knp.default.web",
        "tier/later",
        "tier/security",
    ]
    both = full("get", "tiers", "-f", "-", text=RESOURCES)
    assert (both.exit_code, "not both" in both.output) == (2, True)


def test_one_object_is_an_object_and_many_are_a_list(full: Run) -> None:
    assert json.loads(full("get", "tier", "later", "-o", "json").stdout)["kind"] == "Tier"
    assert json.loads(full("get", "tier", "later", "security", "-o", "json").stdout)["kind"] == "List"
    assert json.loads(full("get", "bgppeers", "-o", "json").stdout)["items"] == []


def test_what_is_stored_but_cannot_be_read_is_told_and_keeps_nothing_else_away(full: Run, tmp_path: Path) -> None:
    async def spoil() -> None:
        datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
        await datastore.put(resource_key(ResourceKey("Tier", "", "spoilt")), b'{"spec": {"order": "high"}}')
        await datastore.close()

    asyncio.run(spoil())
    listed = full("get", "tiers")
    assert (listed.exit_code, "security" in listed.stdout, "spoilt" in listed.stdout) == (0, True, False)
    assert listed.stderr.startswith("warning: Tier spoilt is stored, but cannot be read: ")
    named = full("get", "tier", "spoilt", "later", "--ignore-not-found")
    assert (named.exit_code, names(named)) == (1, ["NAME", "later"])
    assert named.stderr == (
        "Tier spoilt: is stored, but cannot be read: Expected `float | null`, got `str` - at `$.spec.order` "
        "(write it anew with apply, or delete it; its key is /calico/resources/v3/projectcalico.org/tiers/spoilt)\n"
    )


def test_fields_of_newer_writers_are_told_where_all_is_asked_for(full: Run, store_value: StoreValue) -> None:
    key = resource_key(ResourceKey("Tier", "", "newer"))
    store_value(key, b'{"kind":"Tier","apiVersion":"v","spec":{"order":1,"later":{"a":1}},"extra":2}')
    for words in (("tier", "newer"), ("tiers",)):
        shown = full("get", *words, "-o", "yaml")
        assert shown.exit_code == 0
        assert shown.stderr.startswith(
            "warning: Tier newer holds fields that this version does not know and does not show: spec.later, extra ("
        )
    assert full("get", "tiers").stderr == ""
    assert full("get", "tier", "security", "-o", "yaml").stderr == ""


def test_a_folder_is_no_datastore(run: Run, tmp_path: Path) -> None:
    result = run("get", "tiers", "--datastore", str(tmp_path))
    assert (result.exit_code, result.stderr) == (3, f"{tmp_path}: is a folder; name a file in it\n")


def test_nothing_found_is_said_to_people_only(full: Run) -> None:
    result = full("get", "np")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "no networkpolicies found in namespace default\n"


@pytest.mark.parametrize("arguments", [(), ("np", "db", "-A"), ("np/db", "-A"), ("tier/", "x"), ("tier/a", "b")])
def test_calls_that_make_no_sense_are_wrong_usage(full: Run, arguments: tuple[str, ...]) -> None:
    result = full("get", *arguments)
    assert (result.exit_code, "Usage: " in result.output) == (2, True)


def test_a_datastore_that_does_not_answer_ends_with_status_3(tmp_path: Path) -> None:
    place = f"http://127.0.0.1:{free_port()}"
    for arguments in (("get", "tiers"), ("get", "tiers", "--watch")):
        result = CliRunner().invoke(tortie, [*arguments, "--datastore", place])
        assert (result.exit_code, place.removeprefix("http://") in result.output) == (3, True), result.output


@pytest.mark.parametrize("words", [("tiers", "\udcff"), ("tier/\udcff",), ("\udcff",), ("np", "a", "-n", "\udcff")])
def test_bytes_that_are_no_text_are_no_name(full: Run, words: tuple[str, ...]) -> None:
    for verb in ("get", "describe", "delete"):
        result = full(verb, *words)
        assert (result.exit_code, "'\\udcff' is not text in UTF-8" in result.stderr.replace("tier/", "")) == (2, True)


class Watching:
    """A `tortie get --watch` of its own process."""

    def __init__(self, place: str, *arguments: str) -> None:
        environment = {**os.environ, "TORTIE_DATASTORE": place}
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT", PROGRAM, "get", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> list[str]:
        """The words of the next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().split()

    def interrupt(self) -> tuple[int, str]:
        """Press Ctrl-C; gives the status and what was said to standard error."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, errors


@pytest.fixture
def watch() -> Iterator[Callable[..., Watching]]:
    """Starts watches, and ends them."""
    with contextlib.ExitStack() as stack:

        def begin(place: str, *arguments: str) -> Watching:
            watching = Watching(place, *arguments)
            stack.callback(watching.process.wait)
            stack.callback(watching.process.kill)
            return watching

        yield begin


@pytest.fixture(params=["file", "etcd"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty datastore of each driver in turn is."""
    return str(tmp_path / "datastore.db") if request.param == "file" else request.getfixturevalue("etcd_url")


@pytest.fixture
def etcd_url(tmp_path: Path) -> Iterator[str]:
    """An etcd of the test's own."""
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = [
        *("etcd", f"--data-dir={tmp_path / 'etcd'}", f"--listen-client-urls={client}"),
        *(f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}"),
        *(f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--log-level=error"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while CliRunner().invoke(tortie, ["get", "tiers", "--datastore", client]).exit_code == 3:
            assert time.monotonic() < deadline
        yield client
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_each_change_is_a_row_until_interrupted(place: str, watch: Callable[..., Watching]) -> None:
    def run(*arguments: str, text: str = "") -> Result:
        return CliRunner().invoke(tortie, [*arguments, "--datastore", place], input=text)

    assert run("apply", "-f", "-", text=RESOURCES).exit_code == 0
    assert names(run("get", "np", "-n", "shop")) == ["NAMESPACE", "shop", "shop"]
    following = watch(place, "np", "-n", "shop", "-l", "app=db", "--watch")
    orders = watch(place, "np/db", "-n", "shop", "--watch", "-o", "jsonpath={.spec.order}")
    assert [following.line()[:3] for _ in range(2)] == [["EVENT", "NAMESPACE", "NAME"], ["ADDED", "shop", "db"]]
    assert orders.line() == ["10"]
    run("apply", "-f", "-", text=RESOURCES.replace("order: 10,", "order: 11,").replace("order: 20", "order: 21"))
    assert following.line()[:5] == ["MODIFIED", "shop", "db", "security", "11"]
    assert orders.line() == ["11"]
    assert run("delete", "np", "db", "-n", "shop").exit_code == 0
    assert following.line()[:3] == ["DELETED", "shop", "db"]
    assert following.interrupt() == (130, "")
    assert orders.interrupt() == (130, "")


def test_what_cannot_be_read_is_told_while_changes_are_followed(
    full: Run, store_value: Callable[[str, bytes], None], tmp_path: Path, watch: Callable[..., Watching]
) -> None:
    key = "/calico/resources/v3/projectcalico.org/tiers"
    store_value(f"{key}/old", b'{"spec": {"order": "x"}}')
    store_value(f"{key}/securityfold", b"{")
    following = watch(str(tmp_path / "datastore.db"), "tiers", "old", "security", "--watch")
    assert [following.line()[:2] for _ in range(2)] == [["EVENT", "NAME"], ["ADDED", "security"]]
    store_value(f"{key}/security", b"{")
    assert following.line()[:2] == ["DELETED", "security"]
    full("apply", "-f", "-", text=RESOURCES)
    assert following.line()[:2] == ["ADDED", "security"]
    status, errors = following.interrupt()
    assert status == 130
    assert [line.partition(",")[0] for line in errors.splitlines()] == [
        "warning: Tier old is stored",
        "warning: Tier security is stored",
    ]


def test_what_is_there_already_is_left_out_when_only_changes_are_asked_for(
    full: Run, tmp_path: Path, watch: Callable[..., Watching]
) -> None:
    following = watch(str(tmp_path / "datastore.db"), "tier", "security", "--watch-only", "-o", "yaml")
    assert following.process.stdout is not None
    for order in range(1000, 2000):
        full("apply", "-f", "-", text=RESOURCES.replace("order: 100", f"order: {order}"))
        if select.select([following.process.stdout], [], [], 0.1)[0]:
            break
    assert following.line() == ["---"]
    read = "".join(" ".join(following.line()) + ";" for _ in range(12))
    assert "order: 1" in read
    assert "order: 100;" not in read
    assert following.interrupt() == (130, "")


@pytest.mark.parametrize("form", ["jsonpath-file", "go-template-file", "custom-columns-file"])
def test_a_template_that_cannot_be_read_is_named(full: Run, tmp_path: Path, form: str) -> None:
    result = full("get", "tiers", "-o", f"{form}={tmp_path}/nope")
    assert result.exit_code == 2
    assert f"{tmp_path}/nope: cannot be read: No such file or directory\n" in result.stderr


def test_the_action_at_the_end_of_a_tier_is_shown_even_where_none_is_stored(run: Run, store_value: StoreValue) -> None:
    key, value = resource_key(ResourceKey("Tier", "", "old")), b'{"metadata": {"name": "old"}, "spec": {"order": 7}}'
    store_value(key, value)
    assert run("get", "tier", "old").stdout.splitlines()[1].split() == ["old", "7", "Deny"]
