"""YAML that every reader takes for the same, whichever version of YAML it reads."""

from __future__ import annotations

import re
from typing import Any

import yaml

_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc] # of two classes, one written in C
    """Quotes what readers of YAML 1.2, such as kubectl, would take for a number: `1e3`, `0o7`, `-.5`."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+|[-+]\.[0-9]+|0o[0-7]+"), list("-+.0123456789")
)


def to_yaml(value: Any) -> str:
    """Plain data as block-style YAML, in the order it is in."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True)
    return text.rstrip("\n")
