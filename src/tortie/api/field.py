"""What one field may hold, and a few kinds of fields that many structs have."""

from __future__ import annotations

from typing import Literal

import msgspec

from tortie.api import formats as f
from tortie.api.formats import Format

GlobalUse = Literal["anywhere", "never", "alone"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """What one field may hold. An empty field passes, unless it is required.

    Args:
        format: of the value; of each item of a list; of each value of a map.
        keys: format of each key of a map.
        required: whether the field may not be empty.
        most: the largest number of items, or of characters in a text.
        unique: whether no item may come twice.
        selector: where `global()` may stand, for a selector; empty for other fields.
    """

    format: Format | None = None
    keys: Format | None = None
    required: bool = False
    most: int | None = None
    unique: bool = False
    selector: GlobalUse | Literal[""] = ""


def one(format: Format) -> Field:
    """A field with one value, or a list of any values, of a format."""
    return Field(format=format)


def listed(format: Format | None, most: int | None = None) -> Field:
    """A list of `most` items at most, none twice."""
    return Field(format=format, most=most, unique=True)


RULES = Field(most=1024)
SELECTOR = Field(selector="never", most=1024)
NAMESPACE_SELECTOR = Field(selector="alone", most=1024)
LABELS = Field(keys=f.LABEL_KEY, format=f.LABEL_VALUE)
ANNOTATIONS = Field(keys=f.ANNOTATION_KEY)
COUNT = one(f.between(0, 2**63 - 1))
ROUTE_PRIORITY = one(f.between(1, 2**31 - 2))
ENABLED = one(f.one_of("Enabled", "Disabled"))
ENCAPSULATION = one(f.one_of("Never", "Always", "CrossSubnet"))
