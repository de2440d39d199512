"""Everything that is generated from the API's tables, as texts by path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tortie.api.export import crd, jsonschema, openapi, pages
from tortie.api.kinds import KINDS

CRDS, SCHEMAS, PAGES = "deploy/crds", "docs/reference/schema", "docs/reference/kinds"

FOLDERS = (CRDS, SCHEMAS, PAGES)
"""Folders that hold generated files and no others."""

_HEADING = "# Written by `make generate` from src/tortie/api; do not edit.\n"


def generated(examples: Mapping[str, str], notes: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """All files, by their path from the root of the project.

    Args:
        examples: a document of each kind, as YAML, by kind.
        notes: what this release does not carry out, by kind.
    """
    files = {f"{CRDS}/{kind.plural}.yaml": _yaml(crd.definition(kind)) for kind in crd.custom_kinds()}
    files |= {f"{SCHEMAS}/{kind.kind.lower()}.json": _json(jsonschema.kind_schema(kind)) for kind in KINDS.values()}
    files[f"{SCHEMAS}/any.json"] = _json(jsonschema.any_schema())
    files[f"{SCHEMAS}/openapi.json"] = _json(openapi.document())
    for name, kind in KINDS.items():
        files[f"{PAGES}/{name.lower()}.md"] = pages.kind_page(kind, examples[name], notes.get(name, ()))
    files[f"{PAGES}/metadata.md"] = pages.metadata_page()
    files[f"{PAGES}/README.md"] = pages.index_page()
    return files


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice, instead of referring to it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(value: Any) -> str:
    return _HEADING + yaml.dump(value, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110)


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
