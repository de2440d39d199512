"""What a handle counts."""

from __future__ import annotations

from tortie.api.ipam import IPAMHandle
from tortie.ipam.handles import minus, plus, without


def test_counts_add_up_and_a_handle_that_holds_nothing_is_none() -> None:
    one = plus(None, "10.0.0.0/30", 1)
    assert one == IPAMHandle(block={"10.0.0.0/30": 1})
    both = plus(plus(one, "10.0.0.0/30", 2), "fd00::/126", 1)
    assert both == IPAMHandle(block={"10.0.0.0/30": 3, "fd00::/126": 1})
    assert minus(both, "10.0.0.0/30", 2) == IPAMHandle(block={"10.0.0.0/30": 1, "fd00::/126": 1})
    assert without(both, "10.0.0.0/30") == IPAMHandle(block={"fd00::/126": 1})
    assert minus(one, "10.0.0.0/30", 7) is None
    assert without(one, "10.0.0.0/30") is None
