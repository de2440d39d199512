"""Files of resources as people write them: several documents, our kinds and Kubernetes' own, in any order."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tortie.api.defaults import with_defaults
from tortie.api.documents import Document, is_resource, left_out, load_resource, read_documents
from tortie.api.resource import Metadata, Resource
from tortie.api.validation import validate
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.reservations import reservations
from tortie.convert.kubernetes import convert, is_kubernetes
from tortie.selector.check import selector_problem

CREATION_ORDER = (
    "ClusterInformation",
    "FelixConfiguration",
    "KubeControllersConfiguration",
    "IPAMConfiguration",
    "BGPConfiguration",
    "Node",
    "IPPool",
    "IPReservation",
    "BGPFilter",
    "BGPPeer",
    "Tier",
    "Profile",
    "GlobalNetworkSet",
    "NetworkSet",
    "Service",
    "EndpointSlice",
    "Pod",
    "GlobalNetworkPolicy",
    "NetworkPolicy",
    "StagedGlobalNetworkPolicy",
    "StagedNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    "HostEndpoint",
    "WorkloadEndpoint",
    "LiveMigration",
    "BlockAffinity",
    "CalicoNodeStatus",
)
"""What others refer to comes first; deletion goes the other way."""

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


class Manifests(msgspec.Struct, frozen=True):
    """Resources, valid and complete, in the order in which to create them; and warnings for people."""

    resources: tuple[Resource, ...]
    warnings: tuple[str, ...] = ()


def read_manifests(paths: Iterable[Path], namespace: str, recursive: bool = False) -> Manifests:
    """Read files, folders, or standard input (`-`), so that everything is known to be right before anything is done.

    Args:
        namespace: for namespaced resources that name none.

    Raises:
        InvalidResource: with every problem of every file.
    """
    resources: list[Resource] = []
    warnings: list[str] = []
    problems: list[Problem] = []
    for path in paths:
        for file in _files(path, recursive):
            try:
                for document in read_documents(_text(file), "" if str(file) == "-" else str(file)):
                    _add(document, namespace, resources, warnings, problems)
            except InvalidResource as error:
                problems.extend(error.problems)
    if problems:
        raise InvalidResource(*problems)
    return Manifests(tuple(sorted(resources, key=_position)), tuple(warnings))


def _add(
    document: Document, namespace: str, resources: list[Resource], warnings: list[str], problems: list[Problem]
) -> None:
    try:
        if is_kubernetes(document.mapping) and not is_resource(document):
            converted = convert(document.mapping)
            warnings.extend(converted.warnings)
            resource = converted.resource
        else:
            resource = load_resource(document)
            warnings.extend(map(str, left_out(document)))
        resource = with_defaults(_in_namespace(resource, namespace))
        validate(resource, selector_problem)
    except InvalidResource as error:
        problems.extend(_placed(problem, document) for problem in error.problems)
    else:
        resources.append(resource)
        warnings.extend(reservations(resource))


def _placed(problem: Problem, document: Document) -> Problem:
    if problem.line or not document.file:
        return problem
    line, column = document.position(problem.path)
    return msgspec.structs.replace(problem, file=document.file, line=line, column=column)


def _in_namespace(resource: Resource, namespace: str) -> Resource:
    if not resource.namespaced or resource.metadata.namespace:
        return resource
    metadata: Metadata = msgspec.structs.replace(resource.metadata, namespace=namespace)
    return msgspec.structs.replace(resource, metadata=metadata)


def _position(resource: Resource) -> int:
    return CREATION_ORDER.index(resource.kind) if resource.kind in CREATION_ORDER else len(CREATION_ORDER)


def _files(path: Path, recursive: bool) -> list[Path]:
    if str(path) == "-" or not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.glob("*")
    return sorted(file for file in found if file.suffix in SUFFIXES and file.is_file())


def _text(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read()
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidResource(
            Problem(str(file), "", f"cannot be read: {error}", "name a text file or a folder")
        ) from error
