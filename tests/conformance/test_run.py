"""The runner of case files: what it counts, what it prints and how it ends."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).parent

Write = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield importlib.import_module("run")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, format: str, *cases: dict[str, Any], **more: Any) -> Path:
        document = {"format": format, "count": len(cases), **more, "cases": cases}
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        return tmp_path

    return write


def match(identity: str, expect: str) -> dict[str, Any]:
    return {"id": identity, "kind": "match", "selector": "a == 'b'", "labels": {"a": "b"}, "expect": expect}


def first_cases(name: str, count: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    document = json.loads((HERE / "data" / f"{name}.json").read_bytes())
    return document, document.pop("cases")[:count]


def test_an_unknown_format_is_unsupported_and_no_failure(run: ModuleType, write: Write, capsys: Capture) -> None:
    assert run.main([str(write("odd", "no-such-cases", {"id": "x"}, {"id": "y"}))]) == 0
    assert capsys.readouterr().out == "odd: 0 passed, 0 failed, 2 unsupported\n"


def test_an_unknown_kind_of_a_known_format_is_unsupported(run: ModuleType, write: Write, capsys: Capture) -> None:
    assert run.main([str(write("s", "selector-cases", {"id": "x", "kind": "guess"}, match("y", "match")))]) == 0
    assert capsys.readouterr().out == "s: 1 passed, 0 failed, 1 unsupported\n"


def test_a_wrong_expectation_fails_and_is_shown(run: ModuleType, write: Write, capsys: Capture) -> None:
    directory = write("s", "selector-cases", match("right", "match"), match("wrong", "no-match"))
    assert run.main([str(directory)]) == 1
    first, second, why = capsys.readouterr().out.splitlines()
    assert (first, second) == ("s: 1 passed, 1 failed, 0 unsupported", "  wrong")
    assert why.strip()


def test_a_failure_does_not_keep_later_files_from_being_run(run: ModuleType, write: Write, capsys: Capture) -> None:
    write("a", "selector-cases", match("wrong", "no-match"))
    assert run.main([str(write("b", "selector-cases", match("right", "match")))]) == 1
    assert "b: 1 passed, 0 failed, 0 unsupported" in capsys.readouterr().out


def test_something_accepted_that_should_be_refused_fails(run: ModuleType, write: Write, capsys: Capture) -> None:
    case = {"id": "c", "kind": "parse", "selector": "all()", "expect": "error"}
    assert run.main([str(write("s", "selector-cases", case))]) == 1
    assert "DID NOT RAISE" in capsys.readouterr().out


def test_a_case_that_crashes_fails_alone(run: ModuleType, write: Write, capsys: Capture) -> None:
    broken = {"id": "broken", "kind": "match", "selector": "a == 'b'"}
    assert run.main([str(write("s", "selector-cases", broken, match("right", "match")))]) == 1
    out = capsys.readouterr().out
    assert out.startswith("s: 1 passed, 1 failed, 0 unsupported\n  broken\n")
    assert "KeyError: 'labels'" in out


def test_mismatching_pairs_of_pods_are_named_up_to_a_bound(run: ModuleType, write: Write, capsys: Capture) -> None:
    document, (case,) = first_cases("netpol_k8s_e2e", 1)
    wrong = case | {"expect": {port: [row.replace("X", ".") for row in rows] for port, rows in case["expect"].items()}}
    assert run.main([str(write("np", "reachability-cases", wrong, clusters=document["clusters"]))]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "np: 0 passed, 1 failed, 0 unsupported"
    assert lines[1] == f"  {case['id']} {case['name']}"
    assert "TCP/80 x/a → x/b, expect: expected ." in lines[2]
    assert (len(lines), lines[-1]) == (8, "    ... and 1 more")


def test_only_so_many_failed_cases_are_shown(run: ModuleType, write: Write, capsys: Capture) -> None:
    cases = [match(f"wrong-{number}", "no-match") for number in range(run.CASES_SHOWN + 3)]
    assert run.main([str(write("s", "selector-cases", *cases))]) == 1
    out = capsys.readouterr().out
    assert out.count("  wrong-") == run.CASES_SHOWN
    assert out.endswith("  ... and 3 more cases\n")


def test_policies_of_kinds_that_are_not_built_are_unsupported(run: ModuleType, write: Write, capsys: Capture) -> None:
    document, (case,) = first_cases("netpol_k8s_e2e", 1)
    other = case | {"policies": [{"apiVersion": "policy.networking.k8s.io/v1", "kind": "Unheard"}]}
    assert run.main([str(write("np", "reachability-cases", other, case, clusters=document["clusters"]))]) == 0
    assert capsys.readouterr().out == "np: 1 passed, 0 failed, 1 unsupported\n"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name",
    [
        "admin_policy_anp_banp",
        "admin_policy_cnp",
        "bgp_render",
        "calculation",
        "defaulting",
        "ipam",
        "k8s_conversion",
        "netpol_k8s_e2e",
        "netpol_policy_assistant",
        "packet_verdicts",
        "selectors",
        "validation",
    ],
)
def test_every_case_of_a_published_file_is_counted_and_none_fails(run: ModuleType, name: str) -> None:
    document = json.loads((HERE / "data" / f"{name}.json").read_bytes())
    results = run.run_document(document)
    assert [result.case["id"] for result in results] == [case["id"] for case in document["cases"]]
    assert [result for result in results if result.differences] == []
    assert any(result.passed for result in results)


def test_files_that_hold_no_cases_are_passed_over(run: ModuleType, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "schema.json").write_text('{"title": "cases"}')
    assert run.main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_a_file_that_is_not_json_is_a_failure(run: ModuleType, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "torn.json").write_text('{"format": ')
    assert run.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.startswith("torn: is not JSON")


def test_a_directory_without_case_files_is_a_mistake(run: ModuleType, tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as stopped:
        run.main([str(tmp_path)])
    assert stopped.value.code == 2
    assert "no case files" in capsys.readouterr().err


def test_a_relative_directory_is_below_the_root_wherever_one_stands(
    run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []

    def note(path: Path, kernel: bool) -> bool:
        seen.append(path)
        return True

    monkeypatch.setattr(run, "run_file", note)
    monkeypatch.chdir(tmp_path)
    assert run.main(["tests/conformance/data"]) == 0
    assert HERE / "data" / "selectors.json" in [path.resolve() for path in seen]


def test_it_runs_as_a_program_and_logs_nothing(write: Write) -> None:
    document, cases = first_cases("ipam", 10)
    directory = write("ipam", document["format"], *cases)
    write("wrong", "selector-cases", match("wrong", "no-match"))
    done = subprocess.run(
        [sys.executable, HERE / "run.py", directory], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == [
        "ipam: 10 passed, 0 failed, 0 unsupported",
        "wrong: 0 passed, 1 failed, 0 unsupported",
    ]
    assert done.stderr == ""


def test_clusters_that_share_an_address_are_served_by_different_labs(run: ModuleType) -> None:
    kernel = importlib.import_module("kernel")
    pods = {
        "one": [{"namespace": "x", "name": "a", "ip": "10.0.0.1"}],
        "more": [{"namespace": "x", "name": "b", "ip": "10.0.0.2"}, {"namespace": "x", "name": "a", "ip": "10.0.0.1"}],
        "same address": [{"namespace": "y", "name": "c", "ip": "10.0.0.1"}],
        "same pod": [{"namespace": "x", "name": "a", "ip": "10.0.0.9"}],
    }
    clusters = {name: {"pods": each} for name, each in pods.items()}
    cases = [{"id": name, "cluster": name} for name in ("one", "same address", "more", "same pod", "one")]
    found = [[case["id"] for case in served] for served in kernel.groups(cases, clusters)]
    assert found == [["one", "more", "one"], ["same address", "same pod"]]
