"""From answers to outages."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tortie.lab.probe.outages import Outage, Request, outages, report


def test_answers_in_time_are_no_outage() -> None:
    assert outages([Request(0.0, 0.001), Request(0.01, 0.011)], 0.02, 1.0) == []


def test_lost_requests_are_an_outage_until_the_next_answer() -> None:
    requests = [Request(0.0, 0.001), Request(0.1), Request(0.2), Request(0.3, 0.301), Request(0.4, 0.401)]
    assert outages(requests, 0.02, 1.0) == [Outage(0.1, 0.301)]


def test_requests_that_wait_for_a_retransmission_are_one_outage() -> None:
    requests = [Request(0.0, 0.001), Request(0.1, 0.5), Request(0.2, 0.5), Request(0.49, 0.5), Request(0.6, 0.601)]
    assert outages(requests, 0.02, 1.0) == [Outage(0.1, 0.5)]


def test_an_outage_without_end_lasts_to_the_end_of_the_stream() -> None:
    assert outages([Request(0.0, 0.001), Request(0.1)], 0.02, 1.0) == [Outage(0.1, 1.0)]


def test_two_cuts_are_two_outages_and_the_longest_is_reported() -> None:
    requests = [Request(0.0), Request(0.1, 0.101), Request(0.2), Request(0.3), Request(0.5, 0.501)]
    seen = report(requests, 0.02, 1.0)
    assert (seen.sent, seen.lost, len(seen.outages), round(seen.longest)) == (5, 3, 2, 301)


@given(st.lists(st.none() | st.floats(0, 0.5), max_size=40))
def test_outages_are_in_order_and_do_not_overlap(delays: list[float | None]) -> None:
    requests = [Request(n * 0.01, None if delay is None else n * 0.01 + delay) for n, delay in enumerate(delays)]
    found = outages(requests, 0.02, 10.0)
    assert all(one.start < one.end for one in found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))
