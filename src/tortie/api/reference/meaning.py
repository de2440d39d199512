"""The form of the tables of meanings."""

from __future__ import annotations

import msgspec

Meanings = dict[type[msgspec.Struct], dict[str, str]]
"""One sentence for each field, by struct and attribute."""

WhenAbsent = dict[type[msgspec.Struct], dict[str, str]]
"""What stands for a field that nobody gave and that is not filled in when stored, by struct and attribute."""
