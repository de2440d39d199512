"""`tortie validate` and `convert`: what needs the files alone, and no datastore."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from tortie.api.codec import to_mapping
from tortie.api.documents import Document
from tortie.api.resource import API_VERSION
from tortie.base.errors import Problem
from tortie.cli.apply import read_or_exit
from tortie.cli.connection import FAILED
from tortie.cli.inputs import Input
from tortie.cli.manifests import Manifests, check_manifests, read_documents
from tortie.cli.options import input_options, structured_option
from tortie.cli.output import Format, say, structured
from tortie.cli.report import Showing, reporter

CUSTOM_RESOURCE_VERSION = "crd.projectcalico.org/v1"
"""How Kubernetes spells the resources of this API that it keeps for others."""

OLD_PREFIX = "default."
"""What names of policies of the default tier began with there."""


@click.command()
@input_options
@structured_option
def validate(given: Input, output: str | None) -> None:
    """Check files without a datastore, and tell every problem of all of them.

    Whether what they refer to exists, a tier for example, only the datastore knows: `tortie apply --dry-run` asks it.

    \b
      tortie validate -f manifests/ -R
      tortie validate -f policy.yaml -o json
    """
    showing = Showing("validate", output or "")
    manifests = read_or_exit(showing, given, quiet=bool(output))
    if output:
        say(structured([_plain(problem) for problem in manifests.problems], Format(output)))
        sys.exit(FAILED if manifests.problems else 0)
    if code := reporter().checked(showing, manifests):
        sys.exit(code)


@click.command()
@input_options
@structured_option
def convert(given: Input, output: str | None) -> None:
    """Show what Kubernetes objects and old spellings are in projectcalico.org/v3, as they would be stored.

    \b
      tortie convert -f kubernetes.yaml > policies.yaml
    """
    showing = Showing("convert")
    manifests = read_or_exit(showing, given, _scan_old)
    if manifests.problems:
        sys.exit(FAILED)
    mappings = [to_mapping(item.resource) for item in manifests.items]
    if output == Format.JSON:
        say(structured({"apiVersion": API_VERSION, "kind": "List", "items": mappings}, Format.JSON))
    else:
        say("\n---\n".join(structured(mapping, Format.YAML).rstrip("\n") for mapping in mappings))


def _scan_old(given: Input) -> Manifests:
    scanned = read_documents(given)
    renewed = [_renewed(document) for document in scanned.documents]
    return check_manifests(msgspec.structs.replace(scanned, documents=renewed), given.namespace)


def _renewed(document: Document) -> Document:
    """A document in the present spelling of its version and name."""
    if document.api_version != CUSTOM_RESOURCE_VERSION:
        return document
    mapping = {**document.mapping, "apiVersion": API_VERSION}
    metadata, spec = mapping.get("metadata"), mapping.get("spec")
    tier = spec.get("tier") if isinstance(spec, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if document.kind.endswith("NetworkPolicy") and isinstance(name, str) and tier in (None, "", "default"):
        mapping["metadata"] = {**metadata, "name": name.removeprefix(OLD_PREFIX)} if metadata else metadata
    return msgspec.structs.replace(document, api_version=API_VERSION, mapping=mapping)


def _plain(problem: Problem) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(problem).items() if value}
