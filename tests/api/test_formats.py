"""Formats take what the network takes, and nothing near it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api import formats
from tortie.api.formats import Format

CASES: list[tuple[Format, list[int | str], list[int | str]]] = [
    (formats.NAME, ["a", "a.b-c", "1"], ["", "-a", "a-", "A", "a..b", "a_b", "x" * 254, "a\n"]),
    (formats.TIER_NAME, ["x" * 63], ["x" * 64, "a.b"]),
    (formats.GLOBAL_POLICY_NAME, ["a", "a.b"], ["a.b.c", "knp.default.a"]),
    (formats.POLICY_NAME, ["a.b", "knp.default.a.b", "ossg.default.x"], ["knp.other.a", "a.b.c"]),
    (formats.LABEL_KEY, ["a", "A_b.c", "x.io/a", "a" * 63], ["", "/a", "X.io/a", "a/b/c", "a" * 64, ".a", "a\n"]),
    (formats.LABEL_VALUE, ["", "a", "A.b_c-d", "x" * 63], ["-a", "a ", "x" * 64, "a\n"]),
    (formats.ANNOTATION_KEY, ["X.io/a"], ["..."]),
    (formats.INTERFACE, ["eth0", "cali.1_2-3", "x" * 15], ["x" * 16, "a/b", "*"]),
    (formats.INTERFACE_PATTERN, ["eth*", "*a"], ["*", "x" * 16]),
    (formats.DURATION, ["0", "0s", "1m30s", "1.5h", "10ms"], ["", "5", "1d", "s", "-"]),
    (formats.MAC, ["ee:ee:ee:ee:ee:ee", "0A:00:00:00:00:01"], ["ee:ee:ee:ee:ee", "ee-ee-ee-ee-ee-ee"]),
    (formats.HTTP_PATH, ["/", "/a/b"], ["a", "/a b", "/a?b", "/a#b"]),
    (formats.WIREGUARD_KEY, ["jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY="], ["foobar", "AAAA", ""]),
    (formats.AS_NUMBER, [0, 4294967295, "64512", "1.10"], [-1, 4294967296, "x", "65536.0", "1.2.3"]),
    (formats.COMMUNITY, ["0:0", "65535:65535", "4294967295:0:1"], ["65536:0", "1", "1:2:3:4", "4294967296:0:0", "a:b"]),
    (formats.DSCP, [0, 63, "EF", "af43", "CS6", "DF"], [64, -1, "CS7", "AF44"]),
    (formats.PORT, [1, 65535, "80", "1:65535", "http", "a.b_c-d"], [0, 65536, "0:1", "2:1", "a:b", "", "é", "x" * 129]),
    (formats.PROTOCOL, [1, 255, "TCP", "sctp", "6"], [0, 256, "256", "GRE", ""]),
    (formats.PROTOCOL_WITH_PORTS, ["TCP", "udp", 132, "17"], ["ICMP", 1, "UDPLite"]),
    (formats.ADDRESS, ["10.0.0.1", "fd00::1"], ["10.0.0.1/32", "10.0.0.01", "fe80::1%eth0", "x", "1"]),
    (formats.IPV4_ADDRESS, ["10.0.0.1"], ["::1"]),
    (formats.IPV6_INTERFACE, ["fd00::5/64", "fd00::5"], ["10.0.0.5/24", "fd00::5/129"]),
    (formats.PREFIX, ["10.0.0.1/8", "10.0.0.1"], ["10.0.0.0/33", "10.0.0.0/255.0.0.0", "10.0.0.0/08", "10/8"]),
    (formats.RULE_NET, ["10.0.0.0/8", "0.0.0.0/0", "::/0"], ["10.0.0.1/8", "10.0.0.1"]),
    (formats.NOT_EVERYTHING, ["10.0.0.0/8"], ["0.0.0.0/0", "0:0::/0", "10.0.0.1"]),
    (formats.SINGLE_ADDRESS, ["10.0.0.1", "10.0.0.1/32", "::1/128"], ["10.0.0.0/31", "::/127"]),
    (
        formats.PEER,
        ["10.0.0.1", "10.0.0.1:179", "fd00::1", "[fd00::1]:179"],
        ["[fd00::1]", "10.0.0.1/32", "fd00::1:0:x"],
    ),
    (formats.one_of(4, 6), [4, 6], [0, 5]),
    (formats.between(2, 3), [2, 3], [1, 4]),
]


@pytest.mark.parametrize(("format", "good", "bad"), CASES)
def test_good_values_pass_and_bad_ones_do_not(format: Format, good: list[int | str], bad: list[int | str]) -> None:
    assert [value for value in good if not format.accepts(value)] == []
    assert [value for value in bad if format.accepts(value)] == []


TEXTS = [format for format, good, _ in CASES if isinstance(good[0], str)]


@given(st.sampled_from(TEXTS), st.text() | st.text("0123456789abcdef:./[]", max_size=20))
def test_no_text_breaks_a_format(format: Format, text: str) -> None:
    assert format.accepts(text) in (True, False)
