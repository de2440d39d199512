"""`tortie reach`: lists and matrices, from files and from the datastore, for people and programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

CLUSTER = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n-k8s-client-eth0, namespace: shop, labels: {app: client}}
spec: {node: n, orchestrator: k8s, pod: client, endpoint: eth0, interfaceName: cali1,
       ipNetworks: [10.0.0.1/32], profiles: [kns.shop]}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n-k8s-web-eth0, namespace: shop, labels: {app: web}}
spec: {node: n, orchestrator: k8s, pod: web, endpoint: eth0, interfaceName: cali2,
       ipNetworks: [10.0.0.2/32], profiles: [kns.shop]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [80, 81, 82, 443, 8080]}}
  - {action: Allow, protocol: TCP, source: {nets: [203.0.113.0/24]}, destination: {ports: [443]}}
"""


@pytest.fixture
def options(tmp_path: Path) -> tuple[str, ...]:
    file = tmp_path / "cluster.yaml"
    file.write_text(CLUSTER)
    return ("-f", str(file), "--offline")


def test_somebody_is_told_who_reaches_it_and_whom_it_reaches(run: Run, options: tuple[str, ...]) -> None:
    found = run("reach", "shop/web", *options)
    assert found.exit_code == 0, found.output
    assert found.output == (
        "shop/n-k8s-web-eth0\n"
        "  is reached by\n"
        "    TCP 80-82,443,8080   shop/n-k8s-client-eth0\n"
        "    TCP 443              outside: 203.0.113.0/24\n"
        "  reaches\n"
        "    everything   shop/n-k8s-client-eth0\n"
        "                 outside: anywhere in IPv4\n"
    )
    assert "is reached by nobody\n" in run("reach", "shop/web", "53/udp", *options).output


def test_what_is_open_to_the_outside_is_told(run: Run, options: tuple[str, ...]) -> None:
    found = run("reach", "--exposed", "--port", "443", *options).output
    assert "shop/n-k8s-web-eth0\n  is reached by\n    TCP 443   outside: 203.0.113.0/24\n" in found
    rows = list(csv.DictReader(run("reach", "--exposed", "-o", "csv", *options).output.splitlines()))
    assert {"from": "outside: 203.0.113.0/24", "to": "shop/n-k8s-web-eth0", "traffic": "TCP 443"} in rows


def test_the_matrix_groups_by_label(run: Run, options: tuple[str, ...]) -> None:
    lines = run("reach", "--by", "app", *options).output.splitlines()
    assert lines[0].split() == ["from", "↓", "to", "→", "app=client", "app=web", "outside"]
    assert lines[1].split() == ["app=client", "·", "[1]", "everything"]
    assert lines[-1] == "[1] TCP 80-82,443,8080"


def test_programs_get_the_matrix_as_csv_and_json(run: Run, options: tuple[str, ...]) -> None:
    rows = list(csv.DictReader(run("reach", "--by", "app", "-o", "csv", *options).output.splitlines()))
    assert rows[2]["app=web"] == "some: TCP 443"
    whole = json.loads(run("reach", "--by", "app", "-o", "json", *options).output)
    assert {"name": "app=web", "endpoints": 1} in whole["groups"]
    assert {"from": "outside", "to": "app=web", "every": "nothing", "some": "TCP 443"} in whole["reach"]


def test_the_page_is_whole_and_names_cannot_break_it(run: Run, options: tuple[str, ...]) -> None:
    class Cells(HTMLParser):
        looks: list[str] = []
        open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.open += [] if tag == "meta" else [tag]
            self.looks += [str(value) for name, value in attrs if tag == "td" and name == "class"]

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    cells = Cells()
    cells.feed(run("reach", "--by", "<b>&", "-o", "html", *options).output)
    assert not cells.open
    assert cells.looks == ["some", "every", "some", "nothing"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("shop/nobody",), 1, "names nobody in this cluster"),
        (("shop/web", "x/y/z"), 1, "is no port and protocol"),
        (("shop/web", "-o", "html"), 1, "is a form of the matrix"),
        (("shop/web", "--exposed"), 2, "or --exposed"),
        (("shop/web", "80", "tcp"), 2, "PORT/PROTOCOL"),
    ],
)
def test_what_cannot_be_meant_is_told(
    run: Run, options: tuple[str, ...], words: tuple[str, ...], code: int, text: str
) -> None:
    found = run("reach", *words, *options)
    assert (found.exit_code, text in found.output) == (code, True), found.output


def test_a_matrix_that_nobody_could_use_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(
        "---\n".join(
            "{apiVersion: projectcalico.org/v3, kind: HostEndpoint, "
            f"metadata: {{name: h{number}}}, spec: {{node: n{number}, interfaceName: eth0}}}}\n"
            for number in range(1001)
        )
    )
    found = run("reach", "--by", "workload", "-f", str(file), "--offline")
    assert (found.exit_code, "a matrix of 1001 groups" in found.output) == (1, True)
    assert run("reach", "-f", str(file), "--offline").exit_code == 0


def test_an_empty_cluster_is_no_matrix(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "namespace.yaml"
    file.write_text("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}")
    assert run("apply", "-f", str(file)).exit_code == 0
    found = run("reach")
    assert (found.exit_code, "has no endpoints" in found.output) == (1, True), found.output
