"""What is accepted without being carried out is said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import Result

from tortie.api.kinds import KINDS
from tortie.cli.reservations import FIELDS, STORED_ONLY

Run = Callable[..., Result]

HOST_ENDPOINT = """
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: h}
spec: {node: n, interfaceName: eth0}
"""

POOL = """
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: p}
spec: {cidr: 10.0.0.0/16, natOutgoing: true, vxlanMode: Always}
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
        (HOST_ENDPOINT, ["HostEndpoint h: is stored, but"]),
        (POOL, ["spec.natOutgoing is stored", "spec.vxlanMode is stored"]),
        (POLICY, ["spec.egress[0].destination.services is not carried out"]),
    ],
)
def test_applying_it_warns_and_succeeds(run: Run, text: str, said: list[str]) -> None:
    result = run("apply", "-f", "-", text=text)
    assert result.exit_code == 0, result.output
    assert all(one in result.output for one in said)


def test_only_kinds_that_exist_are_named() -> None:
    assert STORED_ONLY | FIELDS.keys() <= KINDS.keys()
