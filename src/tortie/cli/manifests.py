"""Files of resources as people write them: several documents, our kinds and Kubernetes' own, in any order."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from os.path import realpath
from pathlib import Path

import msgspec

from tortie.api.defaults import with_defaults
from tortie.api.documents import Document, Scanned, is_resource, joined, load, scan_documents
from tortie.api.ippool import IPPool
from tortie.api.kinds import KINDS
from tortie.api.resource import Metadata, Resource, ResourceKey
from tortie.api.strict import is_consequence
from tortie.api.validation import problems as problems_of
from tortie.api.validation import validate
from tortie.base.addresses import Cidr
from tortie.base.errors import InvalidResource, Problem
from tortie.cli.inputs import Input
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

STANDARD_INPUT = "<stdin>"
"""What problems of `-f -` call the file."""


class Manifest(msgspec.Struct, frozen=True):
    """A resource, valid and complete, and the document that describes it."""

    resource: Resource
    document: Document


class Manifests(msgspec.Struct, frozen=True):
    """What files hold.

    Args:
        items: what can be read, in the order in which to create it.
        problems: everything that is wrong.
        warnings: for people.
        broken: what else is described, wrongly.
        unreadable: how many files and parts of files describe nothing that can be told apart.
    """

    items: tuple[Manifest, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    broken: tuple[ResourceKey, ...] = ()
    unreadable: int = 0

    @property
    def valid(self) -> int:
        """How many resources there are, each counted once however often it is given."""
        return len({item.resource.key for item in self.items if not item.document.place.flawed})

    @property
    def invalid(self) -> int:
        """How many descriptions must be corrected."""
        return len(self.items) - self.valid + len(self.broken) + self.unreadable

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The resources alone."""
        return tuple(item.resource for item in self.items)


class Named(msgspec.Struct, frozen=True):
    """An object that a document, or the command line, names.

    Args:
        revision: which it must be at; empty for any.
        uid: whose revision that is, where it is told.
    """

    key: ResourceKey
    revision: str = ""
    uid: str = ""
    document: Document | None = None


def read_manifests(paths: Iterable[Path], namespace: str, recursive: bool = False) -> Manifests:
    """Files that must be right as a whole.

    Raises:
        InvalidResource: with every problem of every file.
    """
    found = scan_manifests(Input(tuple(paths), namespace, recursive))
    if found.problems:
        raise InvalidResource(*found.problems)
    return found


def scan_manifests(given: Input) -> Manifests:
    """Everything in the files, and everything that is wrong with them."""
    return check_manifests(read_documents(given), given.namespace)


def check_manifests(scanned: Scanned, namespace: str) -> Manifests:
    """What documents describe, and everything that is wrong with them."""
    problems = list(scanned.problems)
    items: list[Manifest] = []
    warnings: list[Problem] = []
    broken: list[ResourceKey] = []
    for document in scanned.documents:
        try:
            resource, doubts = read_resource(document, namespace)
        except InvalidResource as error:
            problems.extend(placed(problem, document) for problem in error.problems)
            broken.append(_described(document))
        else:
            items.append(Manifest(resource, document))
            warnings.extend(doubts)
    problems.extend(_repeated((item.resource.key, item.document) for item in items))
    for item, problem in list(_overlapping(items)):
        problems.append(problem)
        broken.append(item.resource.key)
        items.remove(item)
    ordered = tuple(sorted(items, key=_position))
    return Manifests(ordered, tuple(_in_order(problems)), tuple(warnings), tuple(broken), scanned.unreadable)


def read_names(given: Input) -> tuple[list[Named], list[Problem]]:
    """The objects that the files name, those that others refer to last, and what cannot be understood.

    Only their names are looked at: what is to be deleted need not be valid.
    """
    scanned = read_documents(given)
    problems = list(scanned.problems)
    found: list[Named] = []
    for document in scanned.documents:
        try:
            found.append(_named(document, given.namespace))
        except InvalidResource as error:
            problems.extend(placed(problem, document) for problem in error.problems)
    return sorted(found, key=lambda named: -rank(named.key.kind)), _in_order(problems)


def read_resource(document: Document, namespace: str) -> tuple[Resource, tuple[Problem, ...]]:
    """The complete, valid resource that a document describes, and warnings.

    Raises:
        InvalidResource: with every problem.
    """
    read = _converted if is_kubernetes(document.mapping) and not is_resource(document) else _loaded
    resource, warnings = read(document, namespace)
    told = (*warnings, *reservations(resource))
    return resource, tuple(placed(warning, document) for warning in told)


def _loaded(document: Document, namespace: str) -> tuple[Resource, tuple[Problem, ...]]:
    """The resource that a document describes; fields that are wrong do not hide what else is."""
    loaded = load(document)
    resource = with_defaults(_in_namespace(loaded.resource, namespace))
    more = [
        problem
        for problem in problems_of(resource, selector_problem)
        if not is_consequence((problem.path, problem.problem, problem.remedy), loaded.doubtful)
    ]
    if loaded.problems or more:
        raise InvalidResource(*loaded.problems, *more)
    return resource, loaded.warnings


def _converted(document: Document, namespace: str) -> tuple[Resource, tuple[Problem, ...]]:
    """The resource that an object of Kubernetes becomes; what is wrong is said of the object."""
    try:
        converted = convert(document.mapping, namespace)
        if converted.broken:
            raise InvalidResource(*converted.broken)
    except InvalidResource as error:
        raise InvalidResource(*(_said_of(document, problem) for problem in error.problems)) from error
    resource = with_defaults(_in_namespace(converted.resource, namespace))
    if found := problems_of(resource, selector_problem):
        raise InvalidResource(*(_said_of_what_becomes_of(document, problem) for problem in found))
    return resource, tuple(_said_of(document, warning) for warning in converted.warnings)


def _said_of(document: Document, problem: Problem) -> Problem:
    return document.problem(problem.path, problem.problem, problem.remedy)


def _said_of_what_becomes_of(document: Document, problem: Problem) -> Problem:
    """Of a field that the object does not have itself."""
    field = f"{problem.path}: " if problem.path else ""
    return document.problem("", f"becomes {problem.object}, which cannot be: {field}{problem.problem}", problem.remedy)


def complete(resource: Resource) -> Resource:
    """The resource with its defaults.

    Raises:
        InvalidResource: with everything that makes no sense.
    """
    resource = with_defaults(resource)
    validate(resource, selector_problem)
    return resource


def placed(problem: Problem, document: Document) -> Problem:
    """The problem with the line and column that it is about."""
    if problem.line or not document.file:
        return problem
    line, column = document.position(problem.path)
    return msgspec.structs.replace(problem, file=document.file, line=line, column=column)


def read_documents(given: Input) -> Scanned:
    """The objects of all files, each read once, in order; and what cannot be read of them."""
    parts: list[Scanned] = []
    read: set[str] = set()
    for path in given.paths:
        files = _files(path, given.recursive)
        if not files and not given.skip_empty:
            parts.append(_nothing(str(path), "holds no .yaml, .yml or .json file", "name a file, or add -R"))
        files = [file for file in files if realpath(file) not in read]
        read.update(map(realpath, files))
        parts += map(_scan, files)
    whole = joined(parts)
    scoped = [msgspec.structs.replace(document, scope=given.namespace) for document in whole.documents]
    return msgspec.structs.replace(whole, documents=scoped)


def _scan(file: Path) -> Scanned:
    name = STANDARD_INPUT if str(file) == "-" else str(file)
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return scan_documents(data.decode("utf-8-sig"), name)
    except OSError as error:
        return _nothing(name, f"cannot be read: {error.strerror}", "name a file or a folder")
    except UnicodeDecodeError as error:
        return _nothing(name, f"is not text: {error.reason} at byte {error.start}", "store it as UTF-8")


def _nothing(name: str, problem: str, remedy: str) -> Scanned:
    return Scanned([], [Problem(name, "", problem, remedy)], 1)


def _described(document: Document) -> ResourceKey:
    metadata = document.mapping.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    return ResourceKey(document.kind, str(given.get("namespace") or ""), str(given.get("name") or ""))


def _named(document: Document, namespace: str) -> Named:
    metadata = document.mapping.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not is_resource(document) or not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        return Named(read_resource(document, namespace)[0].key, document=document)
    scope = str(metadata.get("namespace") or namespace) if KINDS[document.kind].namespaced else ""
    revision, uid = (str(metadata.get(field) or "") for field in ("resourceVersion", "uid"))
    return Named(ResourceKey(document.kind, scope, name), revision, uid, document)


def _repeated(found: Iterable[tuple[ResourceKey, Document]]) -> Iterator[Problem]:
    first: dict[ResourceKey, Document] = {}
    for key, document in found:
        before = first.setdefault(key, document)
        if before is not document:
            place = f"{before.file}:{before.place.line}" if before.file else f"line {before.place.line}"
            problem = Problem(str(key), "", f"is given twice, first at {place}", "keep one of them")
            yield placed(problem, document)


def _overlapping(items: Iterable[Manifest]) -> Iterator[tuple[Manifest, Problem]]:
    """Pools that share addresses; of two ranges that do, one holds the other."""
    ranges = [(Cidr.parse(item.resource.spec.cidr), item) for item in items if isinstance(item.resource, IPPool)]
    outer: tuple[Cidr, Manifest] | None = None
    for cidr, item in sorted(ranges, key=lambda pair: _range_order(pair[0])):
        if outer is None or not outer[0].overlaps(cidr):
            outer = cidr, item
        elif item.resource.key != outer[1].resource.key:
            problem = f"{cidr} overlaps {outer[1].resource.key} ({outer[0]}) of these files"
            yield item, item.document.problem("spec.cidr", problem, "take another range")


def _range_order(cidr: Cidr) -> tuple[int, int, int]:
    network = ip_network(str(cidr))
    return network.version, int(network.network_address), network.prefixlen


def _in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By place within each file, files in the order in which they were met."""
    found = list(problems)
    files = {file: index for index, file in reversed(list(enumerate(problem.file for problem in found)))}
    return sorted(found, key=lambda problem: (files[problem.file], problem.line, problem.column))


def _in_namespace(resource: Resource, namespace: str) -> Resource:
    if not resource.namespaced or resource.metadata.namespace:
        return resource
    metadata: Metadata = msgspec.structs.replace(resource.metadata, namespace=namespace)
    return msgspec.structs.replace(resource, metadata=metadata)


def _position(item: Manifest) -> int:
    return rank(item.resource.kind)


def rank(kind: str) -> int:
    """How late resources of a kind are created; those of a higher rank are deleted before."""
    return CREATION_ORDER.index(kind) if kind in CREATION_ORDER else len(CREATION_ORDER)


def _files(path: Path, recursive: bool) -> list[Path]:
    if str(path) == "-" or not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.glob("*")
    return sorted(file for file in found if file.suffix in SUFFIXES and file.is_file())
