"""Reference pages in Markdown: one for each kind, one for metadata, and an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tortie.api.export.crd import DERIVED
from tortie.api.kinds import KINDS
from tortie.api.reference.describe import FieldDescription, Struct, describe, inner_struct, structs_below
from tortie.api.reference.describe import Listing as ListValue
from tortie.api.reference.describe import Mapping as MapValue
from tortie.api.reference.meanings.kinds import ABOUT
from tortie.api.reference.text import default_text, limits_text, type_text
from tortie.api.reference.words import refusals, requirements
from tortie.api.resource import API_VERSION, Metadata, Resource

GENERATED = "<!-- Written by `make generate` from src/tortie/api; do not edit. -->"

_ELSEWHERE = (
    "`tortie explain KIND` says the same at the command line. Schemas for editors and pipelines are in",
    "[schema](../schema), definitions for Kubernetes in [deploy/crds](../../../deploy/crds). An editor with a YAML",
    "language server checks a file whose first line names [any.json](../schema/any.json):",
    "`# yaml-language-server: $schema=docs/reference/schema/any.json`.",
)

_METADATA = frozenset(structs_below(Metadata))


def kind_page(kind: type[Resource], example: str, notes: Iterable[str]) -> str:
    """The page of one kind.

    Args:
        kind: the kind.
        example: a document of it, as YAML.
        notes: what this release does not carry out, a sentence each.
    """
    lines = [GENERATED, f"# {kind.kind}", "", ABOUT[kind.kind], "", *_facts(kind)]
    lines += ["", "```yaml", example.rstrip(), "```"]
    told = list(notes)
    if told:
        lines += ["", "## Not carried out yet", "", *(f"- {note}" for note in told)]
    lines += ["", "## Fields"]
    places = _places(kind)
    for struct in structs_below(kind):
        if struct not in _METADATA:
            lines += ["", *_section(kind, struct, places[struct])]
    return "\n".join(lines) + "\n"


def metadata_page() -> str:
    """The page of what all kinds have."""
    lines = [GENERATED, "# Metadata", "", "What every object has beside its kind and API version.", "", "## Fields"]
    places = _places(Metadata)
    for struct in structs_below(Metadata):
        where = f"At {_listed(places[struct])}." if struct is not Metadata else "At `metadata`."
        lines += ["", f"### {struct.__name__}", "", where, "", *_table(struct)]
    return "\n".join(lines) + "\n"


def index_page() -> str:
    """The list of all kinds."""
    lines = [GENERATED, "# Kinds", "", "Every kind that a datastore holds; all have [metadata](metadata.md).", ""]
    lines += ["| kind | scope | short names | what it is for |", "|---|---|---|---|"]
    for kind in KINDS.values():
        link = f"[{kind.kind}]({kind.kind.lower()}.md)"
        short = ", ".join(f"`{alias}`" for alias in kind.aliases)
        lines.append(f"| {link} | {_scope(kind)} | {short} | {_escaped(ABOUT[kind.kind])} |")
    lines += ["", *_ELSEWHERE]
    return "\n".join(lines) + "\n"


def _facts(kind: type[Resource]) -> Iterator[str]:
    name = kind.kind.lower()
    yield "| | |"
    yield "|---|---|"
    yield f"| API version | `{kind.api_version}` |"
    yield f"| scope | {_scope(kind)} |"
    yield f"| names | {', '.join(f'`{one}`' for one in (name, kind.plural, *kind.aliases))} |"
    yield f"| schema | [{name}.json](../schema/{name}.json) |"
    if kind.api_version == API_VERSION and kind not in DERIVED:
        yield f"| definition | [{kind.plural}.yaml](../../../deploy/crds/{kind.plural}.yaml) |"
    yield f"| at the command line | `tortie explain {name}` |"


def _section(kind: type[Resource], struct: Struct, places: Sequence[str]) -> Iterator[str]:
    yield f"### {struct.__name__}"
    yield ""
    if struct is not kind:
        yield f"At {_listed(places)}."
        yield ""
    yield from _table(struct)
    told = refusals(struct)
    if told:
        yield from ("", "Refused, in these words:", "", *(f"- {sentence}" for sentence in told))
    required = requirements(struct)
    if required:
        yield from ("", "Between fields:", "", *(f"- {sentence}" for sentence in required))


def _table(struct: Struct) -> Iterator[str]:
    yield "| field | type | default | allowed | meaning |"
    yield "|---|---|---|---|---|"
    for field in describe(struct):
        yield f"| {' | '.join(_cells(field))} |"


def _cells(field: FieldDescription) -> Iterator[str]:
    yield f"`{field.name}`" + (" (required)" if field.required else "")
    inner = inner_struct(field.value)
    text = type_text(field.value)
    if inner is None:
        yield text
    else:
        link = f"metadata.md#{inner.__name__.lower()}" if inner in _METADATA else f"#{inner.__name__.lower()}"
        yield text.replace(inner.__name__, f"[{inner.__name__}]({link})").replace("[][", "list of [")
    yield _escaped(default_text(field))
    yield _escaped(limits_text(field.value))
    yield _escaped(field.meaning)


def _places(kind: Struct) -> Mapping[Struct, list[str]]:
    """Where each struct stands in a kind: `spec.ingress[].source`."""
    found: dict[Struct, list[str]] = {}

    def walk(struct: Struct, path: str) -> None:
        found.setdefault(struct, []).append(path)
        for field in describe(struct):
            inner = inner_struct(field.value)
            if inner is not None:
                ending = "[]" if isinstance(field.value, ListValue | MapValue) else ""
                walk(inner, f"{path}.{field.name}{ending}" if path else f"{field.name}{ending}")

    walk(kind, "metadata" if kind is Metadata else "")
    return found


def _listed(places: Iterable[str]) -> str:
    return ", ".join(f"`{place}`" for place in places)


def _scope(kind: type[Resource]) -> str:
    return "namespace" if kind.namespaced else "cluster"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
