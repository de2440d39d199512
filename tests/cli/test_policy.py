"""What `tortie policy hits` and `tortie monitor` tell people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tortie.agent.decisions import Decision, Packet, Report
from tortie.agent.hits import EndHits, HitsReport, PolicyHits, RuleHits
from tortie.cli.monitor import Columns, cells
from tortie.cli.policy import describe
from tortie.desired.policy import Direction

Run = Callable[..., Result]
INGRESS = Direction.INGRESS
RULES = [RuleHits(INGRESS, 0, "Allow", 3, 180), RuleHits(INGRESS, 1, "Deny", 0, 0)]
REPORT = HitsReport(
    "h1",
    0.0,
    [
        PolicyHits("NetworkPolicy", "shop", "web", "default", False, 2, 3, 180, RULES),
        PolicyHits("StagedGlobalNetworkPolicy", "", "strict", "default", True, 2, 3, 180, RULES[:1]),
        PolicyHits("Profile", "", "kns.shop", "", False, 2, 0, 0, []),
    ],
    [EndHits(INGRESS, "Deny", "end of tier default", 7, 420)],
)


def test_figures_stand_below_the_policies_they_are_of() -> None:
    rows = [row.split() for row in describe(REPORT).splitlines()]
    assert rows[0][-3:] == ["1970-01-01", "00:00:00", "UTC"]
    assert ["default", "NetworkPolicy", "shop/web", "all", "3", "180"] in rows
    assert ["ingress", "1", "Deny", "0", "0"] in rows
    assert ["ingress", "0", "would", "Allow", "3", "180"] in rows
    assert ["(profile)", "Profile", "kns.shop", "all", "0", "0"] in rows
    assert ["Deny", "end", "of", "tier", "default", "ingress", "7", "420"] in rows
    assert "ENDPOINTS" not in describe(REPORT)
    assert "ENDPOINTS" in describe(REPORT, wide=True)


def test_without_policies_that_is_said() -> None:
    assert "No policy is in force here" in describe(HitsReport("h1", 0.0))


@pytest.mark.parametrize(
    ("packet", "decision", "words"),
    [
        (
            Packet("10.0.0.1", "10.0.0.2", 6, 4000, 80),
            Decision("Deny", "NetworkPolicy", "shop", "web", INGRESS, 1),
            ("ingress", "TCP 10.0.0.1:4000 > 10.0.0.2:80", "NetworkPolicy shop/web rule 1"),
        ),
        (
            Packet("fd00::1", "fd00::2", 17, 4000, 53),
            Decision(
                "Deny", reason="end of tier default", direction=INGRESS, staged="Allow by StagedNetworkPolicy a/b"
            ),
            ("UDP [fd00::1]:4000 > [fd00::2]:53", "end of tier default (staged: Allow by StagedNetworkPolicy a/b)"),
        ),
        (Packet("10.0.0.1", "10.0.0.2", 1, icmp_type=8, icmp_code=0), Decision("Allow", "Profile"), ("type 8 code 0",)),
        (Packet("10.0.0.1", "10.0.0.2", 47), Decision("Deny", reason="spoofed source"), ("protocol 47", "spoofed")),
    ],
)
def test_a_packet_is_a_line(packet: Packet, decision: Decision, words: tuple[str, ...]) -> None:
    text = Columns().line(cells(Report(0.0, "cali1", "shop/web-1", packet, decision)))
    assert all(word in text for word in (*words, "cali1", "shop/web-1", decision.verdict))


def test_a_long_cell_widens_its_column_for_what_follows() -> None:
    columns = Columns()
    widened = columns.line(("t", "i", "e" * 40, "ingress", "Deny", "packet", "by"))
    assert widened.index("ingress") == columns.line(("t", "i", "e", "ingress", "Deny", "packet", "by")).index("ingress")


def test_everything_that_is_wrong_is_said_at_once(run: Run, tmp_path: Path) -> None:
    words = ("monitor", "--source", "x", "--destination", "10/", "--protocol", "y", "--run-directory", str(tmp_path))
    result = run(*words)
    assert result.exit_code == 1
    for part in ("--source", "--destination", "--protocol", "10.0.0.0/8 or fd00::1"):
        assert part in result.output


@pytest.mark.parametrize("words", [("policy", "hits"), ("monitor",)])
def test_without_an_agent_the_command_says_what_to_look_at(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    result = run(*words, "--run-directory", str(tmp_path))
    assert result.exit_code == 3
    assert "is tortie-agent running?" in result.output
