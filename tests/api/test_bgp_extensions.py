"""What annotations ask of BGP, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tortie.api.bgp import BGPConfiguration, BGPPeer, BGPPeerSpec
from tortie.api.bgp_extensions import ANNOTATIONS, BGPExtensions, find_problems, read_extensions
from tortie.api.resource import Metadata
from tortie.api.validation import validate
from tortie.base.errors import InvalidResource


def test_nothing_is_asked_for_by_default() -> None:
    assert read_extensions({"someone.else/bfd": "SingleHop"}) == BGPExtensions("", 300, 3, extended_next_hop=False)


def test_all_can_be_asked_for() -> None:
    asked = {
        "tortie/bfd": "MultiHop",
        "tortie/bfd-interval": "1s",
        "tortie/bfd-multiplier": "5",
        "tortie/extended-next-hop": "Enabled",
    }
    assert asked.keys() == ANNOTATIONS.keys()
    assert read_extensions(asked) == BGPExtensions("MultiHop", 1000, 5, extended_next_hop=True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tortie/bdf", "SingleHop"),
        ("tortie/bfd", "singlehop"),
        ("tortie/bfd", ""),
        ("tortie/bfd-interval", "9ms"),
        ("tortie/bfd-interval", "61s"),
        ("tortie/bfd-interval", "300"),
        ("tortie/bfd-multiplier", "0"),
        ("tortie/bfd-multiplier", "256"),
        ("tortie/extended-next-hop", "true"),
    ],
)
@pytest.mark.parametrize("kind", [BGPPeer, BGPConfiguration])
def test_what_cannot_be_read_is_refused_with_its_place(kind: type, name: str, text: str) -> None:
    metadata = Metadata(name="default", annotations={name: text})
    resource = (
        BGPPeer(metadata=metadata, spec=BGPPeerSpec(peer_ip="10.0.0.1")) if kind is BGPPeer else kind(metadata=metadata)
    )
    with pytest.raises(InvalidResource) as refused:
        validate(resource, lambda _: None)
    assert [problem.path for problem in refused.value.problems] == [f"metadata.annotations[{name}]"]
    with pytest.raises(ValueError, match="tortie/"):
        read_extensions({name: text})


def test_bfd_over_hops_needs_an_address_to_come_from() -> None:
    spec = BGPPeerSpec(peer_ip="10.0.0.1", source_address="None")
    for mode, is_refused in (("MultiHop", True), ("SingleHop", False)):
        peer = BGPPeer(metadata=Metadata(name="p", annotations={"tortie/bfd": mode}), spec=spec)
        if is_refused:
            with pytest.raises(InvalidResource, match="leave out sourceAddress"):
                validate(peer, lambda _: None)
        else:
            validate(peer, lambda _: None)


@given(st.dictionaries(st.sampled_from(sorted(ANNOTATIONS)), st.text(max_size=8)))
def test_what_has_no_problems_can_be_read(annotations: dict[str, str]) -> None:
    if not list(find_problems(annotations)):
        read_extensions(annotations)
