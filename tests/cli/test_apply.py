"""`tortie apply`, `create` and `replace`: everything is judged before the first write, and every problem is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.limits import oversized

Run = Callable[..., Result]
StoreValue = Callable[[str, bytes], None]

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

POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: blue}
spec: {cidr: 10.0.0.0/16, blockSize: 26}
"""

WRONG_IN_EVERY_WAY = """\
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: unknown-field}
spec: {selectr: all()}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: bad-values}
spec: {selector: role = 'db', ingress: [{action: Alow}]}
---
not: [yaml
---
kind: Tier
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: no-tier}
spec: {tier: nowhere}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: no-tier}
spec: {tier: default}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: one}
spec: {cidr: 10.0.0.0/16}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: two}
spec: {cidr: 10.0.128.0/17}
"""


def test_every_problem_of_every_document_is_told_at_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG_IN_EVERY_WAY)
    result = run("apply", "-f", str(file))
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = [line.removeprefix(f"{file}:") for line in result.stderr.splitlines()]
    assert lines == [
        "4:8: NetworkPolicy default/unknown-field: spec.selectr: is not a field (did you mean selector?)",
        "9:8: NetworkPolicy default/bad-values: spec.selector: \"role = 'db'\" is not a selector: expected an operator "
        "after the label role, at character 6 of selector \"role = 'db'\"",
        "9:42: NetworkPolicy default/bad-values: spec.ingress[0].action: 'Alow' is not valid "
        "(one of Allow, Deny, Log, Pass)",
        "11:6: document: the list that begins here is not closed, or lacks a comma (end it with ])",
        "13:1: document: apiVersion: is required",
        f"20:1: NetworkPolicy default/no-tier: is given twice, first at {file}:15 (keep one of them)",
        "33:8: IPPool two: spec.cidr: 10.0.128.0/17 overlaps IPPool one (10.0.0.0/16) of these files "
        "(take another range)",
        "18:8: NetworkPolicy default/no-tier: spec.tier: there is no tier 'nowhere' (create the tier first)",
        "nothing was written",
    ]
    assert not (tmp_path / "datastore.db").exists()


def test_a_field_that_is_wrong_hides_no_value_that_is(run: Run) -> None:
    text = POLICY.replace("tier: security", "ordr: 1, types: 7").replace("role ==", "role =").replace("Deny", "Dny")
    assert [
        line.partition(": spec.")[2] for line in run("validate", "-f", "-", text=text).stderr.splitlines()[:-1]
    ] == [
        "ordr: is not a field (did you mean order?)",
        "types: must be a list, not a number",
        "selector: \"role = 'db'\" is not a selector: expected an operator after the label role, at character 6 of "
        "selector \"role = 'db'\"",
        "ingress[0].action: 'Dny' is not valid (one of Allow, Deny, Log, Pass)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: 1, spec: {ingress: [1, {action: x}]}}",
        "{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: [1]}, spec: {interfaceNam: eth0}}",
        "{apiVersion: projectcalico.org/v3, kind: IPPool, spec: {cidr: 1, blockSize: x}}",
        "{apiVersion: projectcalico.org/v3, kind: Node, metadata: {name: n, labels: [a]}, spec: {bgp: {asNumber: {}}}}",
        "{apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: n}, spec: 7, status: x}",
        "{apiVersion: v1, kind: Pod, metadata: {name: 5}, spec: []}",
        "{apiVersion: v1, kind: Namespace, metadata: []}",
        "{apiVersion: projectcalico.org/v3, kind: Pod}",
    ],
)
def test_whatever_is_wrong_is_told_and_not_stumbled_over(run: Run, text: str) -> None:
    result = run("apply", "-f", "-", text=text)
    assert result.exit_code == 1
    assert result.stderr.startswith("<stdin>:1:")


def test_problems_of_several_files_are_told_at_once(run: Run, tmp_path: Path) -> None:
    for name in ("a.yaml", "b.json"):
        (tmp_path / name).write_text(json.dumps({"apiVersion": "projectcalico.org/v3", "kind": "Teer"}))
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\xff")
    output = run("validate", "-f", str(tmp_path), "-f", str(tmp_path / "missing.yaml")).stderr
    assert f"{tmp_path / 'a.yaml'}:1:" in output
    assert f"{tmp_path / 'b.json'}:1:" in output
    assert "c.yaml: is not text" in output
    assert "missing.yaml: cannot be read: No such file or directory (name a file or a folder)" in output


def test_a_tier_that_is_described_wrongly_is_not_said_to_be_missing_too(run: Run) -> None:
    output = run("apply", "-f", "-", text=f"{TIER.replace('Pass', 'Pss')}---{POLICY}").stderr
    assert "spec.defaultAction" in output
    assert "there is no tier" not in output


def test_what_is_refused_by_the_datastore_keeps_all_else_from_being_written(run: Run) -> None:
    run("apply", "-f", "-", text=POOL)
    moved = POOL.replace("10.0.0.0/16", "10.1.0.0/16").replace("26", "27")
    result = run("apply", "-f", "-", text=f"{TIER}---{moved}---{POLICY.replace('security', 'nowhere')}")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert [line.partition(": spec")[2] for line in result.stderr.splitlines()] == [
        ".cidr: cannot change from 10.0.0.0/16 to 10.1.0.0/16 (make a new pool)",
        ".blockSize: cannot change from 26 to 27 (make a new pool)",
        ".tier: there is no tier 'nowhere' (create the tier first)",
        "",
    ]
    assert "security" not in run("get", "tiers").output


def test_a_pool_may_not_take_a_range_that_is_taken(run: Run) -> None:
    run("apply", "-f", "-", text=POOL)
    result = run("apply", "-f", "-", text=POOL.replace("blue", "red"))
    assert "overlaps IPPool blue" in result.stderr


def test_no_datastore_is_made_for_what_none_would_take(run: Run, tmp_path: Path) -> None:
    result = run("apply", "-f", "-", text=POLICY)
    assert result.exit_code == 1
    assert result.stderr == (
        "<stdin>:5:8: NetworkPolicy shop/db: spec.tier: there is no tier 'security' (create the tier first)\n"
        "nothing was written\n"
    )
    assert not (tmp_path / "datastore.db").exists()


def test_a_peer_needs_its_filters_stored_or_in_the_same_input(run: Run) -> None:
    peer = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: edge}
spec: {peerIP: 192.0.2.1, asNumber: 64512, filters: [in, out]}
"""
    filters = "".join(
        f"---\n{{apiVersion: projectcalico.org/v3, kind: BGPFilter, metadata: {{name: {name}}}, spec: {{}}}}\n"
        for name in ("in", "out")
    )
    result = run("apply", "-f", "-", text=peer)
    assert result.exit_code == 1
    assert "spec.filters[0]: there is no BGPFilter 'in'" in result.stderr
    assert "spec.filters[1]: there is no BGPFilter 'out' (create the filter first)" in result.stderr
    assert run("apply", "-f", "-", text=peer + filters).exit_code == 0


def test_a_pool_for_load_balancers_stays_one(run: Run) -> None:
    pool = POOL.replace("26}", "26, allowedUses: [LoadBalancer]}")
    run("apply", "-f", "-", text=pool)
    result = run("apply", "-f", "-", text=POOL)
    assert (result.exit_code, "spec.allowedUses: cannot lose LoadBalancer (make a new pool)" in result.stderr) == (
        1,
        True,
    )
    assert run("apply", "-f", "-", text=pool).stdout == "ippool blue unchanged\n"


def test_the_revision_of_an_object_in_kubernetes_says_nothing_of_its_copy_here(run: Run) -> None:
    identity = "resourceVersion: '987654', uid: 11111111-2222-3333-4444-555555555555"
    exported = f"apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop, {identity}}}\n"
    exported += "spec: {ports: [{port: 80}]}\n"
    assert run("apply", "-f", "-", text=exported).stdout == "service shop/web created\n"
    assert run("apply", "-f", "-", text=exported).stdout == "service shop/web unchanged\n"
    assert run("replace", "-f", "-", text=exported.replace("80", "81")).stdout == "service shop/web replaced\n"
    own = run("get", "svc", "web", "-n", "shop", "-o", "yaml").stdout
    run("label", "svc", "web", "-n", "shop", "a=b")
    for verb in ("apply", "delete"):
        assert "is at revision" in run(verb, "-f", "-", text=own).stderr
    assert run("delete", "-f", "-", text=exported).stdout == "service shop/web deleted\n"


def test_a_revision_in_the_input_must_be_the_current_one(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    shown = run("get", "tier", "security", "-o", "yaml").output
    assert run("apply", "-f", "-", text=shown.replace("100", "200")).output == "tier security configured\n"
    for verb in ("apply", "replace"):
        result = run(verb, "-f", "-", text=shown)
        assert result.exit_code == 1
        assert "Tier security: metadata.resourceVersion: is at revision" in result.stderr
        assert "read it again, or leave resourceVersion out to overwrite it" in result.stderr
    assert run("apply", "-f", "-", text=shown.replace("resourceVersion", "generateName")).exit_code == 0


def test_what_is_created_from_what_was_shown_elsewhere_gets_an_identity_of_its_own(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    before = yaml.safe_load(run("get", "tier", "security", "-o", "yaml").output)
    run("delete", "tier", "security")
    assert run("apply", "-f", "-", text=yaml.safe_dump(before)).output == "tier security created\n"
    after = yaml.safe_load(run("get", "tier", "security", "-o", "yaml").output)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_changing_keeps_the_identity_and_replaces_the_labels(run: Run) -> None:
    run("apply", "-f", "-", text=POLICY.replace("security", "default").replace("shop", "shop, labels: {a: b}"))
    before = yaml.safe_load(run("get", "np", "db", "-n", "shop", "-o", "yaml").output)["metadata"]
    run("apply", "-f", "-", text=POLICY.replace("security", "default").replace("shop", "shop, labels: {c: d}"))
    after = yaml.safe_load(run("get", "np", "db", "-n", "shop", "-o", "yaml").output)["metadata"]
    assert (after["uid"], after["creationTimestamp"]) == (before["uid"], before["creationTimestamp"])
    assert after["labels"] == {"c": "d", "projectcalico.org/tier": "default"}


def test_create_leaves_what_exists_alone(run: Run) -> None:
    assert run("create", "-f", "-", text=TIER).stdout == "tier security created\n"
    result = run("create", "-f", "-", text=f"{TIER.replace('100', '50')}---{POLICY}")
    assert result.exit_code == 1
    assert "Tier security: already exists (change it with apply or replace" in result.stderr
    assert run("create", "-f", "-", "--skip-exists", text=f"{TIER.replace('100', '50')}---{POLICY}").output == (
        "tier security exists, skipped\nnetworkpolicy shop/db created\n"
    )
    assert json.loads(run("get", "tier", "security", "-o", "json").output)["spec"]["order"] == 100


def test_replace_changes_only_what_exists(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    assert run("replace", "-f", "-", text=TIER.replace("100", "50")).output == "tier security replaced\n"
    result = run("replace", "-f", "-", text=TIER.replace("security", "secuirty"))
    assert result.exit_code == 1
    assert "Tier secuirty: does not exist (did you mean Tier security?)" in result.stderr


@pytest.mark.parametrize(
    ("option", "said"),
    [("--dry-run=client", "created or configured (dry run)"), ("--dry-run", "created (server dry run)")],
)
def test_a_dry_run_says_what_would_be_and_writes_nothing(run: Run, tmp_path: Path, option: str, said: str) -> None:
    result = run("apply", option, "-f", "-", text=TIER)
    assert (result.exit_code, result.output) == (0, f"tier security {said}\n")
    assert not (tmp_path / "datastore.db").exists()
    run("apply", "-f", "-", text=POOL)
    run("apply", option, "-f", "-", text=TIER)
    assert "security" not in run("get", "tiers").output


def test_a_dry_run_of_the_server_finds_what_the_datastore_would_refuse(run: Run) -> None:
    result = run("apply", "--dry-run=server", "-f", "-", text=POLICY)
    assert result.exit_code == 1
    assert "there is no tier 'security'" in result.stderr
    assert run("apply", "--dry-run=client", "-f", "-", text=POLICY).exit_code == 0


def test_what_was_written_can_be_shown(run: Run) -> None:
    written = yaml.safe_load(run("apply", "-f", "-", "-o", "yaml", text=TIER).output)
    assert written["metadata"]["uid"]
    assert run("apply", "-f", "-", "-o", "name", text=f"{TIER}---{POLICY}").output == (
        "tier/security\nnetworkpolicy/db\n"
    )
    listed = json.loads(run("apply", "-f", "-", "-o", "json", text=f"{TIER}---{POLICY}").output)
    assert [item["kind"] for item in listed["items"]] == ["Tier", "NetworkPolicy"]


def test_folders_are_read_and_those_within_when_asked(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "all" / "inner"
    folder.mkdir(parents=True)
    (folder / "tier.yml").write_text(TIER)
    (folder / "notes.txt").write_text("not for us")
    result = run("apply", "-f", str(folder.parent))
    assert "holds no .yaml, .yml or .json file (name a file, or add -R)" in result.stderr
    assert run("apply", "-R", "-f", str(folder.parent)).stdout == "tier security created\n"


def test_an_empty_input_is_an_error_unless_it_may_be(run: Run) -> None:
    result = run("apply", "-f", "-", text="# nothing\n")
    assert result.exit_code == 1
    assert "allow that with --skip-empty" in result.stderr
    assert run("apply", "-f", "-", "--skip-empty", text="# nothing\n").exit_code == 0


async def test_stored_bytes_that_cannot_be_read_are_replaced(run: Run, tmp_path: Path) -> None:
    await asyncio.to_thread(run, "apply", "-f", "-", text=TIER)
    datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
    await datastore.put("/calico/resources/v3/projectcalico.org/tiers/security", b"{broken")
    await datastore.close()
    result = await asyncio.to_thread(run, "apply", "-f", "-", text=TIER)
    assert result.stdout == "tier security configured\n"
    assert "security" in (await asyncio.to_thread(run, "get", "tiers")).output


async def test_what_a_newer_writer_stored_is_not_lost_by_any_verb(run: Run, tmp_path: Path) -> None:
    text = POLICY.replace("security", "default")
    await asyncio.to_thread(run, "apply", "-f", "-", text=text)
    datastore = await EmbeddedDatastore.open(tmp_path / "datastore.db")
    key = "/calico/resources/v3/projectcalico.org/networkpolicies/shop/db"
    stored = await datastore.get(key)
    assert stored is not None
    newer = stored.value.replace(b'"action":"Deny"', b'"action":"Deny","newer":true')
    await datastore.put(key, newer)
    changed = text.replace("Deny", "Allow")
    for words in (("apply", "-f", "-"), ("replace", "-f", "-"), ("patch", "np/db", "-n", "shop", "-p", PATCH)):
        result = await asyncio.to_thread(run, *words, text=f"{changed}---{TIER}")
        assert result.exit_code == 1, words
        assert "NetworkPolicy shop/db: spec.ingress[0].newer: was stored by a newer version" in result.stderr
    assert await asyncio.to_thread(run, "label", "np/db", "-n", "shop", "a=b")
    after = await datastore.get(key)
    await datastore.close()
    assert after is not None
    assert b'"newer":true' in after.value
    assert "security" not in (await asyncio.to_thread(run, "get", "tiers")).output


PATCH = '{"spec": {"ingress": [{"action": "Allow"}]}}'


ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {namespace: shop}
spec: {node: n-1, orchestrator: k8s, pod: web-0, endpoint: eth0, ipNetworks: [10.0.0.9/32], interfaceName: cali1}
"""


def test_an_endpoint_needs_no_name_and_may_have_only_one(run: Run) -> None:
    result = run("apply", "-f", "-", text=ENDPOINT)
    assert result.stdout == "workloadendpoint shop/n--1-k8s-web--0-eth0 created\n", result.output
    assert "unchanged" in run("apply", "-f", "-", text=ENDPOINT).stdout
    other = ENDPOINT.replace("namespace: shop", "namespace: shop, name: web")
    refused = run("apply", "-f", "-", text=other)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("<stdin>:4:29: WorkloadEndpoint shop/web: metadata.name: ")
    assert "must be n--1-k8s-web--0-eth0" in refused.stderr
    assert run("delete", "-f", "-", text=ENDPOINT).stdout == "workloadendpoint shop/n--1-k8s-web--0-eth0 deleted\n"


def test_an_object_has_one_name_in_all_of_its_problems(run: Run) -> None:
    text = POLICY.replace(", namespace: shop", "").replace("{tier", "{selectr: all(), tier").replace("Deny", "Dney")
    complaints = run("validate", "-n", "shop", "-f", "-", text=text).stderr.splitlines()[:2]
    objects = {line.split(": ")[1] for line in complaints}
    assert objects == {"NetworkPolicy shop/db"}
    nameless = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {}, spec: {}}"
    assert ": GlobalNetworkPolicy: metadata.name: is required" in run("validate", "-f", "-", text=nameless).stderr


def test_the_article_of_a_kind_is_right(run: Run) -> None:
    text = POOL.replace("metadata: {", "metadata: {namespace: shop, ")
    assert "(an IPPool belongs to the whole cluster)" in run("validate", "-f", "-", text=text).stderr


def test_a_file_elsewhere_is_named_whole_and_not_looked_for_here(run: Run) -> None:
    result = run("apply", "-f", "https://example.org/x.yaml")
    assert result.exit_code == 2
    assert (
        "https://example.org/x.yaml is not fetched; do that first: curl -L https://example.org/x.yaml" in result.stderr
    )


SPOILT = "/calico/resources/v3/projectcalico.org/tiers/security"


@pytest.mark.parametrize("verb", ["apply", "replace"])
def test_a_file_takes_the_place_of_what_is_stored_and_cannot_be_read(
    run: Run, store_value: StoreValue, verb: str
) -> None:
    assert run("apply", "-f", "-", text=POOL).exit_code == 0
    store_value(SPOILT, b"{no")
    shown = run(verb, "-f", "-", "--dry-run=server", text=TIER)
    assert "could not be read" in shown.stderr
    healed = run(verb, "-f", "-", text=TIER)
    assert healed.exit_code == 0, healed.output
    assert healed.stderr.startswith("warning: Tier security: what was stored could not be read (")
    assert healed.stderr.endswith(", and is replaced\n")
    assert run(verb, "-f", "-", text=TIER).output == "tier security unchanged\n"


def test_what_cannot_be_read_is_only_replaced_by_what_is_whole(run: Run, store_value: StoreValue) -> None:
    store_value(SPOILT, b"{no")
    for words in (("patch", "tier", "security", "-p", "{}"), ("label", "tier", "security", "a=b")):
        refused = run(*words)
        assert refused.exit_code == 1
        assert "Tier security: is stored, but cannot be read" in refused.stderr
    created = run("create", "-f", "-", text=TIER)
    assert "already exists" in created.stderr


def test_a_revision_of_what_cannot_be_read_is_a_condition_too(run: Run, store_value: StoreValue) -> None:
    store_value(SPOILT, b"{no")
    refused = run("apply", "-f", "-", text=TIER.replace("{name: security}", "{name: security, resourceVersion: '77'}"))
    assert refused.exit_code == 1
    assert "not 77" in refused.stderr


def test_an_unreadable_cluster_information_is_written_anew_with_its_identity(run: Run, store_value: StoreValue) -> None:
    run("apply", "-f", "-", text=TIER)
    guid = "9c1f0a3be5d74e0f8a6c2d1b4e7f9012"
    value = b'{"spec":{"clusterGUID":"%s","datastoreReady":7}}' % guid.encode()
    store_value("/calico/resources/v3/projectcalico.org/clusterinformations/default", value)
    other = run("apply", "-f", "-", text=POOL)
    assert other.exit_code == 0
    assert "warning: ClusterInformation default: is stored, but cannot be read" in other.stderr
    assert "agents change nothing until then" in other.stderr
    information = "{apiVersion: projectcalico.org/v3, kind: ClusterInformation, metadata: {name: default}}"
    assert run("replace", "-f", "-", text=information).exit_code == 0
    assert guid in run("version").output


def test_that_nothing_was_written_is_said_when_the_datastore_is_away(run: Run) -> None:
    for words in (("apply", "-f", "-"), ("delete", "-f", "-")):
        result = run(*words, "--datastore", "http://127.0.0.1:1", text=TIER)
        assert result.exit_code == 3
        assert result.stderr.splitlines()[-1] == "nothing was written"


def test_of_several_objects_none_is_written_when_one_is_too_large(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tortie.datastore.embedded.oversized", partial(oversized, limit=4_000))
    large = POLICY.replace("name: db", "annotations: {a: " + "x" * 4_000 + "}, name: large")
    result = run("apply", "-f", "-", text=POLICY + "---" + TIER + "---" + large)
    assert result.exit_code == 1
    assert "NetworkPolicy shop/large: takes 4," in result.stderr
    assert result.stderr.endswith("nothing was written\n")
    assert "security" not in run("get", "tiers").stdout
