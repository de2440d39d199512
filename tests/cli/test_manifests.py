"""Reading files: whatever they hold, there is a resource or a problem for each document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tortie.api.kinds import KINDS
from tortie.cli.inputs import Input
from tortie.cli.manifests import check_manifests, read_documents, read_names, scan_manifests

WORDS = ("metadata", "name", "namespace", "spec", "status", "labels", "selector", "tier", "cidr", "ingress", "action")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(["10.0.0.0/8", "all()", "Allow"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=10,
)
VERSIONS = st.sampled_from(["projectcalico.org/v3", "v1", "networking.k8s.io/v1", "apps/v1", "", "discovery.k8s.io/v1"])
KIND_NAMES = st.sampled_from([*KINDS, "Namespace", "ServiceAccount", "List", "Unknown"])


@given(VERSIONS, KIND_NAMES, st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=4))
def test_every_document_is_a_resource_or_has_a_problem(
    tmp_path: Path, version: str, kind: str, fields: dict[str, Any]
) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps({"apiVersion": version, "kind": kind, **fields}))
    given = Input((file,))
    found = scan_manifests(given)
    assert bool(found.items) != bool(found.problems)
    assert all(problem.file == str(file) and problem.line == 1 for problem in found.problems)
    assert len(found.broken) == (0 if found.items or not version else 1)
    names, problems = read_names(given)
    assert names or problems


def test_items_of_lists_stand_for_themselves(tmp_path: Path) -> None:
    tiers = [{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": name}} for name in "ab"]
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": tiers}, indent=1))
    scanned = read_documents(Input((file,)))
    assert [item.resource.key.name for item in check_manifests(scanned, "default").items] == ["a", "b"]


def test_what_others_refer_to_comes_first_and_is_deleted_last(tmp_path: Path) -> None:
    kinds = ("NetworkPolicy", "BGPPeer", "Tier", "BGPFilter")
    specs = {"BGPPeer": {"peerIP": "192.0.2.1", "asNumber": 1}}
    (tmp_path / "all.yaml").write_text(
        "\n---\n".join(
            json.dumps(
                {
                    "apiVersion": "projectcalico.org/v3",
                    "kind": kind,
                    "metadata": {"name": "x"},
                    "spec": specs.get(kind, {}),
                }
            )
            for kind in kinds
        )
    )
    found = scan_manifests(Input((tmp_path,)))
    assert [item.resource.kind for item in found.items] == ["BGPFilter", "BGPPeer", "Tier", "NetworkPolicy"]
    names, _ = read_names(Input((tmp_path,)))
    assert [named.key.kind for named in names] == ["NetworkPolicy", "Tier", "BGPPeer", "BGPFilter"]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: x}}")
    found = scan_manifests(Input((file, file, tmp_path)))
    assert (len(found.items), found.problems) == (1, ())
