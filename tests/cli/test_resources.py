"""`tortie apply`, `get` and `delete` as people use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import yaml
from click.testing import Result

Run = Callable[..., Result]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
spec: {order: 100, defaultAction: Pass}
"""

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec: {tier: security, selector: role == 'db', ingress: [{action: Deny}]}
"""

BAD = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: broken, namespace: shop}
spec:
  selector: role = 'db'
"""


def test_the_examples_are_applied_in_an_order_that_works(run: Run) -> None:
    result = run("apply", "-f", str(EXAMPLES / "three-tier"))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "tier security created"
    assert "networkpolicy shop/knp.default.api created" in lines


def test_applying_again_changes_nothing(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    assert run("apply", "-f", "-", text=TIER).output == "tier security unchanged\n"
    assert run("apply", "-f", "-", text=TIER.replace("100", "50")).output == "tier security configured\n"


STORED_ONLY = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: n1-eth0}
spec: {node: n1, interfaceName: eth0, expectedIPs: [10.0.0.1]}
---
apiVersion: projectcalico.org/v3
kind: KubeControllersConfiguration
metadata: {name: default}
spec: {controllers: {node: {}, loadBalancer: {}}}
---
apiVersion: projectcalico.org/v3
kind: BGPFilter
metadata: {name: edge}
spec: {importV4: [{action: Reject}]}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {logSeverityScreen: Info}
"""


def test_settings_are_written_first_and_every_kind_has_its_columns(run: Run) -> None:
    applied = run("apply", "-f", "-", text=STORED_ONLY)
    assert applied.stdout.splitlines() == [
        "felixconfiguration default created",
        "kubecontrollersconfiguration default created",
        "bgpfilter edge created",
        "hostendpoint n1-eth0 created",
    ]
    rows = {
        name: run("get", name).output.splitlines()[1].split() for name in ("hep", "kcc", "bgpfilter", "felixconfig")
    }
    assert rows == {
        "hep": ["n1-eth0", "n1", "eth0", "10.0.0.1"],
        "kcc": ["default", "Info", "node,loadBalancer"],
        "bgpfilter": ["edge", "0", "1", "0", "0"],
        "felixconfig": ["default", "-", "Info"],
    }


def test_a_policy_may_come_before_its_tier_in_a_file(run: Run) -> None:
    result = run("apply", "-f", "-", text=f"{POLICY}---{TIER}")
    assert result.exit_code == 0, result.output


def test_a_policy_of_a_missing_tier_is_refused(run: Run) -> None:
    result = run("apply", "-f", "-", text=POLICY)
    assert result.exit_code == 1
    assert "security" in result.output


def test_nothing_is_applied_when_something_is_wrong(run: Run) -> None:
    result = run("apply", "-f", "-", text=f"{TIER}---{BAD}")
    assert result.exit_code == 1
    assert "NetworkPolicy shop/broken" in result.output
    assert "spec.selector" in result.output
    assert "security" not in run("get", "tiers").output


def test_an_error_names_the_line_of_the_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    assert f"{file}:6:" in run("apply", "-f", str(file)).output


def test_get_shows_a_table_yaml_and_json(run: Run) -> None:
    run("apply", "-f", "-", text=f"{TIER}---{POLICY}")
    table = run("get", "np", "-n", "shop").output.splitlines()
    assert table[0].split() == ["NAMESPACE", "NAME", "TIER", "ORDER", "TYPES"]
    assert table[1].split() == ["shop", "db", "security", "-", "Ingress"]
    assert "role == 'db'" in run("get", "np", "-n", "shop", "-o", "wide").output
    shown = yaml.safe_load(run("get", "networkpolicy", "db", "-n", "shop", "-o", "yaml").output)
    assert (shown["kind"], shown["spec"]["selector"]) == ("NetworkPolicy", "role == 'db'")
    listed = json.loads(run("get", "networkpolicies", "-A", "-o", "json").output)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["db"]


def test_what_get_shows_can_be_applied_again(run: Run) -> None:
    run("apply", "-f", str(EXAMPLES / "three-tier"))
    shown = run("get", "np", "-A", "-o", "yaml").output
    result = run("apply", "-f", "-", text=shown)
    assert result.exit_code == 0, result.output
    assert {line.split()[-1] for line in result.stdout.splitlines()} == {"unchanged"}


def test_an_unknown_kind_or_name_is_an_error_with_a_hint(run: Run) -> None:
    result = run("get", "networkpolices")
    assert result.exit_code == 1
    assert "try NetworkPolicy, StagedNetworkPolicy" in result.output
    assert run("ipam", "configure", "--strictaffinity=true").exit_code == 0
    assert run("get", "tier", "nothing").exit_code == 1


def test_delete_by_name_and_by_file(run: Run) -> None:
    run("apply", "-f", "-", text=f"{TIER}---{POLICY}")
    assert run("delete", "tier", "security").exit_code == 1, "it still holds a policy"
    assert run("delete", "np", "db", "-n", "shop").output == "networkpolicy shop/db deleted\n"
    assert run("delete", "np", "db", "-n", "shop").exit_code == 1
    assert run("delete", "np", "db", "-n", "shop", "-s").exit_code == 0
    assert run("delete", "-f", "-", text=TIER).output == "tier security deleted\n"


def test_calls_that_name_nothing_say_what_to_name(run: Run) -> None:
    assert run("apply").exit_code == 2
    assert "tortie delete KIND NAME" in run("delete").output


def test_a_rule_that_the_kernel_enforces_in_part_only_is_pointed_out(run: Run) -> None:
    rule = "{action: Allow, protocol: TCP, http: {methods: [GET]}}"
    policy = POLICY.replace("tier: security, ", "").replace("{action: Deny}", rule)
    result = run("apply", "-f", "-", text=policy)
    assert result.exit_code == 0, result.output
    assert "spec.ingress[0].http: is for L7 proxies" in result.output


def test_reading_makes_no_datastore(run: Run, tmp_path: Path) -> None:
    result = run("get", "nodes")
    assert result.exit_code == 3
    assert "TORTIE_DATASTORE" in result.output
    assert not (tmp_path / "datastore.db").exists()


def test_applying_nothing_is_an_error(run: Run) -> None:
    assert run("apply", "-f", "-", text="---\n").exit_code == 1


def test_problems_of_all_documents_are_told_at_once(run: Run) -> None:
    unknown = POLICY.replace("selector:", "selectr:").replace("name: db", "name: typo")
    output = run("apply", "-f", "-", text=f"{unknown}---{BAD}").output
    assert "selectr" in output
    assert "shop/broken" in output


def test_a_new_datastore_is_announced_and_made_in_no_new_folder(run: Run, tmp_path: Path) -> None:
    tier = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}}"
    for option in ((), ("--dry-run",)):
        slip = run("apply", "-f", "-", "--datastore", str(tmp_path / "nonexist" / "x.db"), *option, text=tier)
        assert (slip.exit_code, slip.stdout) == (3, "")
        assert slip.stderr == (
            f"there is no folder {tmp_path}/nonexist for a new datastore: make it, or name another place\n"
        )
    assert not (tmp_path / "nonexist").exists()
    assert run("apply", "-f", "-", text=tier).stderr == f"a new datastore was made: {tmp_path}/datastore.db\n"
    assert run("apply", "-f", "-", text=tier).stderr == ""
