"""Quantities as Kubernetes spells them: `100M`, `4Gi`, `1.5k`, `2e3`.

Source: the Quantity type of k8s.io/apimachinery/pkg/api/resource.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", 1)},
    **{f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", 1)},
}
"""What a suffix multiplies by."""

MOST_DIGITS = 3
"""Digits that an exponent may have: more would be numbers without end."""

_QUANTITY = re.compile(
    rf"(?P<number>[+-]?(?:[0-9]{{1,40}}(?:\.[0-9]{{0,40}})?|\.[0-9]{{1,40}}))"
    rf"(?:[eE](?P<exponent>[+-]?[0-9]{{1,{MOST_DIGITS}}})|(?P<suffix>[numkMGTPE]|[KMGTPE]i)?)"
)


def quantity(text: str) -> int:
    """A quantity, rounded up to a whole number.

    Raises:
        ValueError: it is none.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as 100M or 4Gi")
    factor = Fraction(10) ** int(match["exponent"]) if match["exponent"] else FACTORS[match["suffix"] or ""]
    return math.ceil(Fraction(match["number"].removesuffix(".")) * factor)
