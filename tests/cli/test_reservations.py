"""What is accepted without being carried out is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result

from tortie.api.kinds import KINDS
from tortie.cli.reservations import FIELDS, STORED_ONLY

Run = Callable[..., Result]

STATUS = """
apiVersion: projectcalico.org/v3
kind: CalicoNodeStatus
metadata: {name: s}
spec: {node: n, classes: [BGP], updatePeriodSeconds: 10}
"""

PEER = """
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: p}
spec: {localWorkloadSelector: all(), asNumber: 65001}
"""

OVERLAY = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: p}
spec: {cidr: 10.0.0.0/16, natOutgoing: true, vxlanMode: CrossSubnet}
"""

FELIX = """
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: default}
spec: {bpfEnabled: true, logSeverityScreen: Info, floatingIPs: Enabled}
"""

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: s, namespace: n}
spec: {selector: {app: s}, ports: [{port: 80}]}
"""

SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: s, namespace: n}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
"""

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: n}
spec: {egress: [{action: Allow, destination: {services: {name: s}}}]}
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STATUS, ["CalicoNodeStatus s: is stored, but"]),
        (PEER, ["spec.localWorkloadSelector: is stored"]),
        (FELIX, ["spec.bpfEnabled: is stored, but not carried out: this release has no eBPF data plane"]),
        (SERVICE, ["Service n/s: its backends are those of EndpointSlices labelled kubernetes.io/service-name: s"]),
        (SLICE, ["EndpointSlice n/s: belongs to no service, as it lacks the label kubernetes.io/service-name"]),
    ],
)
def test_applying_it_warns_and_succeeds(run: Run, text: str, said: list[str]) -> None:
    result = run("apply", "-f", "-", text=text)
    assert result.exit_code == 0, result.output
    assert all(one in result.output for one in said)


def test_only_fields_that_do_nothing_are_named(run: Run) -> None:
    assert run("apply", "-f", "-", text=FELIX).output.count("FelixConfiguration default: spec.") == 1


@pytest.mark.parametrize("text", [POLICY, OVERLAY, OVERLAY.replace("vxlanMode", "ipipMode")])
def test_what_is_carried_out_is_not_warned_of(run: Run, text: str) -> None:
    result = run("apply", "-f", "-", text=text)
    assert result.exit_code == 0, result.output
    assert "warning" not in result.output


def test_only_kinds_that_exist_are_named() -> None:
    assert STORED_ONLY | FIELDS.keys() <= KINDS.keys()


@pytest.mark.parametrize(("name", "warned"), [("default", False), ("node.n1", False), ("defualt", True)])
def test_bgp_settings_under_a_name_that_nothing_looks_at_are_told(run: Run, name: str, warned: bool) -> None:
    text = f"apiVersion: projectcalico.org/v3\nkind: BGPConfiguration\nmetadata: {{name: {name}}}\n"
    result = run("apply", "-f", "-", text=text)
    assert result.exit_code == 0
    told = f"BGPConfiguration {name}: metadata.name: is a name that nothing looks at (call it default, or node.NAME"
    assert (told in result.stderr) is warned


@pytest.mark.parametrize(("value", "warned"), [("EF", False), ("'46'", False), ("CS7", True), ("'64'", True)])
def test_a_code_point_of_a_host_endpoint_that_is_none_is_told(run: Run, value: str, warned: bool) -> None:
    annotations = f"annotations: {{qos.projectcalico.org/dscp: {value}}}"
    text = f"apiVersion: projectcalico.org/v3\nkind: HostEndpoint\nmetadata: {{name: h, {annotations}}}\n"
    result = run("validate", "-f", "-", text=f"{text}spec: {{node: n, interfaceName: eth0}}\n")
    assert result.exit_code == 0
    told = "HostEndpoint h: metadata.annotations[qos.projectcalico.org/dscp]: "
    assert (told in result.stderr and "is no code point; use a number from 0 to 63" in result.stderr) is warned
