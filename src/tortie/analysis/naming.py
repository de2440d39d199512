"""Ends and addresses as people speak of them: by the labels that they have in common, by prefixes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from ipaddress import ip_address, summarize_address_range

from tortie.analysis.cluster import End
from tortie.analysis.who import names
from tortie.base.addresses import BITS, Cidr

Spans = Sequence[tuple[int, int]]
"""First and last of ranges of addresses, ascending and apart."""

FEW_NETS = 4
"""How many prefixes are named before it is said how many more there are."""

_MADE = ("projectcalico.org/", "pcns.", "pcsa.", "pod-template-", "controller-revision-hash")
"""How labels begin that people did not choose for this end."""


def common_name(ends: Sequence[End]) -> str:
    """One by its name; several by namespace, what labels they have in common, and how many they are."""
    if len(ends) == 1:
        return ends[0].name
    places = {end.key.namespace for end in ends}
    where = f"{places.pop()}: " if len(places) == 1 else ""
    labels = ", ".join(f"{label}={value}" for label, value in common_labels(ends).items()) or names(ends)
    return f"{where}{labels} ({len(ends)})"


def common_labels(ends: Iterable[End]) -> Mapping[str, str]:
    """The labels that all ends have in common, of those that people gave them."""
    common = reduce(lambda left, right: left & right, (set(end.labels.items()) for end in ends))
    return dict(sorted(pair for pair in common if not pair[0].startswith(_MADE)))


def addresses_text(family: int, spans: Spans, held: Spans = ()) -> str:
    """Ranges of addresses as prefixes, or as everything but some prefixes where that is shorter.

    Args:
        held: addresses that count as in or out, whichever makes it simpler: those of ends, which are told by name.
    """
    inside = _nets(family, _joined(spans, held))
    outside = _nets(family, _joined(list(_others(family, [*spans, *held])), held))
    if not outside:
        return f"anywhere in IPv{family}"
    return f"anywhere in IPv{family} but {_listed(outside)}" if len(outside) < len(inside) else _listed(inside)


def _listed(nets: Sequence[str]) -> str:
    more = f" and {len(nets) - FEW_NETS} more" if len(nets) > FEW_NETS else ""
    return ", ".join(nets[:FEW_NETS]) + more


def _joined(spans: Spans, held: Spans) -> list[tuple[int, int]]:
    """Ranges between which there is nothing, or only what is held, as one."""
    found: list[tuple[int, int]] = []
    bridge = -1
    ours = set(spans)
    for span in sorted({*spans, *held}):
        if span in ours and found and span[0] <= bridge + 1:
            found[-1] = (found[-1][0], span[1])
        elif span in ours:
            found.append(span)
        if span in ours or span[0] <= bridge + 1:
            bridge = span[1]
    return found


def _others(family: int, spans: Spans) -> Iterator[tuple[int, int]]:
    following = 0
    for first, last in sorted(spans):
        if first > following:
            yield following, first - 1
        following = max(following, last + 1)
    if following < 1 << BITS[family]:
        yield following, (1 << BITS[family]) - 1


def _nets(family: int, spans: Iterable[tuple[int, int]]) -> list[str]:
    found = []
    for span in spans:
        first, last = (ip_address(Cidr(family, one, BITS[family]).packed) for one in span)
        found += [net.with_prefixlen for net in summarize_address_range(first, last)]
    return found
