"""Port lists of rules."""

from __future__ import annotations

import pytest

from tortie.api.rules import Port
from tortie.calculation.ports import Ports, split_ports
from tortie.desired.policy import PortRange

CASES: list[tuple[tuple[Port, ...], Ports]] = [
    ((), Ports()),
    ((80,), Ports((PortRange(80, 80),))),
    (("80",), Ports((PortRange(80, 80),))),
    (("80:90", 85, 91), Ports((PortRange(80, 91),))),
    ((443, 80), Ports((PortRange(80, 80), PortRange(443, 443)))),
    (("http", 80, "dns", "http"), Ports((PortRange(80, 80),), ("dns", "http"))),
    (("0:65535",), Ports((PortRange(0, 65535),))),
]


@pytest.mark.parametrize(("ports", "expected"), CASES)
def test_numbers_and_ranges_are_merged_and_names_kept_apart(ports: tuple[Port, ...], expected: Ports) -> None:
    assert split_ports(ports) == expected


@pytest.mark.parametrize("port", [70000, "90:80"])
def test_impossible_ports_are_refused(port: Port) -> None:
    with pytest.raises(ValueError, match="port"):
        split_ports((port,))
