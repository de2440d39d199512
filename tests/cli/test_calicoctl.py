"""`calicoctl`: the sentences, options and exit codes that its users' scripts look for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tortie.api.resource import ResourceKey
from tortie.base.errors import NotPermitted, TortieError, Unavailable
from tortie.cli.calicoctl import COMMANDS, calicoctl, spelt
from tortie.cli.calicoctl_report import CalicoctlReporter
from tortie.cli.main import tortie
from tortie.cli.plan import refusal
from tortie.cli.report import Showing
from tortie.cli.writing import Outcomes

Run = Callable[..., Result]

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100}
"""


def policies(*names: str) -> str:
    return "".join(
        f"---\n{{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {{name: {name}}}, spec: {{}}}}\n"
        for name in names
    )


@pytest.fixture
def ctl(tmp_path: Path) -> Run:
    """`ctl("get", "nodes")` is `calicoctl get nodes`."""

    def invoke(*arguments: str, text: str | None = None) -> Result:
        environment = {"TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
        return CliRunner().invoke(calicoctl, list(arguments), input=text, env=environment)

    return invoke


def test_success_is_said_by_count_and_kind(ctl: Run) -> None:
    assert ctl("create", "-f", "-", text=policies("a", "b")).stdout == (
        "Successfully created 2 'NetworkPolicy' resource(s)\n"
    )
    assert ctl("apply", "-f", "-", text=TIER + policies("a")).stdout == "Successfully applied 2 resource(s)\n"
    assert ctl("replace", "-f", "-", text=TIER).stdout == "Successfully replaced 1 'Tier' resource(s)\n"
    assert ctl("validate", "-f", "-", text=TIER).stdout == "Successfully validated 1 'Tier' resource(s)\n"
    assert ctl("patch", "np", "a", "-p", '{"spec": {"order": 1}}').stdout == (
        "Successfully patched 1 'NetworkPolicy' resource\n"
    )
    assert ctl("delete", "np", "a", "b").stdout == "Successfully deleted 2 'NetworkPolicy' resource(s)\n"


def test_a_partial_success_writes_what_can_be_written(ctl: Run) -> None:
    ctl("create", "-f", "-", text=policies("a"))
    result = ctl("create", "-f", "-", text=policies("a", "b"))
    assert result.exit_code == 1
    assert result.stdout == "Partial success: created the first 1 out of 2 'NetworkPolicy' resources:\n"
    assert result.stderr == "hit error: [resource already exists: NetworkPolicy(default/a)]\n"
    assert ctl("create", "--skip-exists", "-f", "-", text=policies("a", "b")).stdout == (
        "Successfully created 2 'NetworkPolicy' resource(s)\n"
    )


def test_failure_is_said_by_verb_and_kind(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=TIER + policies("a", "b"))
    assert ctl("create", "-f", "-", text=TIER).stderr == (
        "failed to create 'Tier' resource: [resource already exists: Tier(security)]\n"
    )
    assert ctl("create", "-f", "-", text=policies("a", "b")).stderr.startswith(
        "failed to create any 'NetworkPolicy' resources: ["
    )
    assert ctl("create", "-f", "-", text=TIER + policies("a")).stderr.startswith("failed to create any resources: [")
    assert ctl("replace", "-f", "-", text=policies("c")).stderr == (
        "failed to replace 'NetworkPolicy' resource: [resource does not exist: NetworkPolicy(default/c)]\n"
    )
    result = ctl("delete", "np", "a", "c")
    assert (result.exit_code, result.stdout) == (1, "Successfully deleted 1 'NetworkPolicy' resource(s)\n")
    assert result.stderr == (
        "Failed to delete 'NetworkPolicy' resource: resource does not exist: NetworkPolicy(default/c)\n"
    )
    assert ctl("delete", "np", "c", "-s").output == "Successfully deleted 1 'NetworkPolicy' resource(s)\n"


def test_a_conflict_is_said_so(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=TIER)
    shown = ctl("get", "tier", "security", "-o", "yaml").stdout
    ctl("apply", "-f", "-", text=TIER.replace("100", "200"))
    assert "update conflict: Tier(security)" in ctl("apply", "-f", "-", text=shown).stderr


def test_a_file_that_is_wrong_is_not_begun(ctl: Run) -> None:
    result = ctl("apply", "-f", "-", text=TIER + policies("a").replace("spec:", "spce:"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("failed to execute command: <stdin>:")
    assert ctl("get", "tier", "security").exit_code == 1


def test_what_calicoctl_does_not_write_is_refused(ctl: Run) -> None:
    result = ctl("apply", "-f", "-", text=policies("knp.default.x"))
    assert result.exit_code == 1
    assert "kubernetes network policies must be managed through the kubernetes API" in result.stderr
    assert ctl("delete", "np", "knp.default.x").exit_code == 1
    information = "{apiVersion: projectcalico.org/v3, kind: ClusterInformation, metadata: {name: default}, spec: {}}"
    assert "read-only" in ctl("apply", "-f", "-", text=information).stderr


def test_labels_are_reported_one_by_one(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=policies("a"))
    assert ctl("label", "np", "a", "x=1").stdout == "Successfully set label x on np a\n"
    assert ctl("label", "np", "a", "x=2").stderr == (
        "failed to update label of np a, key x is already present. please use '--overwrite' to set a new value\n"
    )
    assert ctl("label", "np", "a", "x=2", "--overwrite").stdout == "Successfully updated label x on np a\n"
    assert ctl("label", "np", "a", "x", "--remove").stdout == "Successfully removed label x from np a\n"
    result = ctl("label", "np", "a", "x", "--remove")
    assert (result.exit_code, result.stderr) == (1, "cannot remove label of np a, key x does not exist\n")


def test_a_json_patch_that_is_a_map_is_merged_as_it_ever_was(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=policies("a"))
    assert ctl("patch", "np", "a", "--type", "json", "--patch", '{"spec": {"order": 7}}').exit_code == 0
    assert json.loads(ctl("get", "np", "a", "-o", "json").stdout)["spec"]["order"] == 7


def test_global_options_stand_before_and_after_the_word(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=TIER)
    options = ("-l", "debug", "--context", "one", "--allow-version-mismatch")
    assert ctl(*options, "get", "tiers").exit_code == 0
    assert ctl("get", "tiers", *options).exit_code == 0
    assert ctl("ipam", "show", *options).exit_code == 0
    assert ctl("get", "tiers", "-l", "loud").exit_code == 1
    assert ctl("get", "networkpolicy", "-a", "-o", "wide").exit_code == 0
    assert ctl("get", "tiers", "-o", "ps").exit_code == 0
    assert "resourceVersion" not in ctl("get", "tiers", "-o", "yaml", "--export").stdout


def test_an_empty_input_is_said_and_may_be_allowed(ctl: Run) -> None:
    assert ctl("apply", "-f", "-", text="---\n").exit_code == 1
    result = ctl("apply", "-f", "-", "--skip-empty", text="---\n")
    assert (result.exit_code, result.stdout) == (0, "No resources specified\n")


@pytest.mark.parametrize("words", [("apply",), ("aply",), ("get", "nonsense"), ("--nonsense",), ("delete", "np")])
def test_every_failure_ends_with_the_same_code(ctl: Run, words: tuple[str, ...]) -> None:
    assert ctl(*words).exit_code == 1


@pytest.mark.parametrize("word", COMMANDS)
def test_no_letter_means_two_things_in_any_command(word: str) -> None:
    command = calicoctl.get_command(click.Context(calicoctl), word)
    assert command is not None
    for inner in _all(command):
        spellings = [spelling for param in inner.params for spelling in param.opts if spelling.startswith("-")]
        assert len(spellings) == len(set(spellings)), inner.name
        assert {"-l", "--log-level", "--context", "--allow-version-mismatch"} <= set(spellings)


def test_the_commands_of_tortie_keep_their_own_options() -> None:
    delete = tortie.get_command(click.Context(tortie), "delete")
    assert delete is not None
    before = {param.name: list(param.opts) for param in delete.params}
    spelt(delete)
    assert {param.name: list(param.opts) for param in delete.params} == before


def test_a_link_named_calicoctl_speaks_as_calicoctl(tmp_path: Path) -> None:
    link = tmp_path / "calicoctl"
    link.write_text(f"#!{sys.executable}\nfrom tortie.cli.main import main\nmain()\n")
    link.chmod(0o755)
    environment = {**os.environ, "TORTIE_DATASTORE": str(tmp_path / "datastore.db")}

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [link, *arguments]
        return subprocess.run(command, check=False, input=TIER, capture_output=True, text=True, env=environment)

    assert call("apply", "-f", "-").stdout == "Successfully applied 1 'Tier' resource(s)\n"
    assert call("create", "-f", "-").returncode == 1
    assert call("--help").stdout.startswith("Usage: calicoctl")


def test_reading_loads_nothing_of_writers(tmp_path: Path) -> None:
    program = "import sys; from tortie.cli.calicoctl import calicoctl; calicoctl(sys.argv[1:], standalone_mode=False); "
    program += "print(*sys.modules, sep='\\n', file=sys.stderr)"
    environment = {**os.environ, "TORTIE_DATASTORE": str(tmp_path / "datastore.db")}
    subprocess.run(
        [sys.executable, "-m", "tortie.cli", "apply", "-f", "-"], input=TIER, text=True, env=environment, check=True
    )
    command = [sys.executable, "-c", program, "get", "tiers"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "security" in done.stdout
    assert not {"yaml", "tortie.api.validation", "tortie.cli.manifests"} & set(done.stderr.splitlines())


def _all(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    return [command, *(one for inner in command.commands.values() for one in _all(inner))]


def test_what_is_not_there_is_said_by_get_as_by_other_words(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=policies("db"))
    for form in ((), ("-o", "yaml"), ("-o", "go-template={{.Name}}")):
        result = ctl("get", "np", "nosuch", "-n", "shop", *form)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "resource does not exist: NetworkPolicy(shop/nosuch)\n"


def test_a_list_is_of_its_kind_and_is_taken_again(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=policies("a", "b"))
    for words in (("np",), ("np", "a", "b")):
        listed = json.loads(ctl("get", *words, "-o", "json").stdout)
        assert (listed["kind"], [one["metadata"]["name"] for one in listed["items"]]) == (
            "NetworkPolicyList",
            ["a", "b"],
        )
    assert ctl("get", "np", "-o", "go-template={{range .Items}}{{.ObjectMeta.Name}} {{end}}").stdout == "a b \n"
    again = ctl("get", "np", "-o", "yaml").stdout
    assert ctl("apply", "-f", "-", text=again).stdout == "Successfully applied 2 'NetworkPolicy' resource(s)\n"


def test_resources_may_stand_in_a_list(ctl: Run) -> None:
    assert "No resources specified" in ctl("apply", "-f", "-", text="[]").stderr
    text = "".join(f"- {line}\n" for line in policies("a", "b").splitlines() if line != "---")
    assert ctl("apply", "-f", "-", text=text).stdout == "Successfully applied 2 'NetworkPolicy' resource(s)\n"
    wrong = ctl("apply", "-f", "-", text=text.replace("name: b", "nam: b")).stderr
    assert "<stdin>:2:" in wrong


def test_settings_of_addresses_are_said_as_they_are_called(ctl: Run) -> None:
    assert ctl("ipam", "configure", "--strictaffinity=true").stdout == "Successfully set StrictAffinity to: true\n"
    shown = ctl("ipam", "show", "--show-configuration").stdout.splitlines()
    assert shown[1].split() == ["StrictAffinity", "true"]


def test_the_configuration_may_be_named_before_the_word(ctl: Run, tmp_path: Path) -> None:
    for options in (("--config", str(tmp_path / "no.cfg")), ("-c", str(tmp_path / "no.cfg"))):
        for words in ((*options, "get", "nodes"), ("get", "nodes", *options), (*options, "ipam", "show")):
            assert "no.cfg: there is no such file" in ctl(*words).stderr


def refused(error: TortieError, capsys: pytest.CaptureFixture[str], **showing: str) -> str:
    key = ResourceKey("Tier", "", "security")
    CalicoctlReporter().finish(Showing(**{"verb": "create", **showing}), Outcomes(refused=(refusal(key, error),)))
    return capsys.readouterr().err


def test_who_may_not_is_told_as_calicoctls_users_know_it(capsys: pytest.CaptureFixture[str]) -> None:
    denied = NotPermitted("etcd at a:1: etcdserver: permission denied (…)")
    sentence = "connection is unauthorized: etcd at a:1: etcdserver: permission denied (…)"
    assert refused(denied, capsys) == f"failed to create 'Tier' resource: [{sentence}]\n"
    assert refused(denied, capsys, verb="delete") == f"Failed to delete 'Tier' resource: {sentence}\n"
    assert (
        refused(Unavailable("etcd at a:1: gone"), capsys) == "failed to create 'Tier' resource: [etcd at a:1: gone]\n"
    )


def test_reading_without_permission_is_told_likewise(ctl: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(location: object) -> None:
        raise NotPermitted("etcd at a:1: etcdserver: permission denied (…)")

    ctl("apply", "-f", "-", text=TIER)
    monkeypatch.setattr("tortie.cli.connection.open_datastore", deny)
    result = ctl("get", "tiers")
    assert (result.exit_code, result.stderr) == (
        1,
        "connection is unauthorized: etcd at a:1: etcdserver: permission denied (…)\n",
    )


def test_a_dry_run_says_that_it_is_one(ctl: Run) -> None:
    ctl("apply", "-f", "-", text=TIER)
    for words in (("delete", "tier", "security", "--dry-run=client"), ("delete", "tier", "security", "--dry-run")):
        assert "Successfully deleted 1 'Tier' resource(s) (" in ctl(*words).stdout
        assert "dry run)\n" in ctl(*words).stdout
    assert ctl("get", "tier", "security").exit_code == 0


def test_hints_and_examples_speak_of_the_program_as_it_was_called(ctl: Run) -> None:
    assert "as in: calicoctl get nodes" in ctl("get").stderr
    assert "make one with `calicoctl apply`" in ctl("get", "nodes").stderr
    shown = ctl("ipam", "configure", "--help").stdout
    assert "  calicoctl ipam configure --strictaffinity=true" in shown
    assert "tortie" not in shown
    result = CliRunner().invoke(tortie, ["calicoctl", "get"])
    assert "as in: tortie calicoctl get nodes" in result.stderr
