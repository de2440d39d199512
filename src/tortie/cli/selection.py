"""Which objects the words of a command line name: kinds, names, `KIND/NAME`, and the labels they must have."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

import click
import msgspec

from tortie.api.kinds import KINDS, find_kind
from tortie.api.resource import Resource, ResourceKey
from tortie.base.errors import InvalidResource
from tortie.cli.inputs import Input
from tortie.cli.personality import has_own_voice, identifier, program
from tortie.datastore.reading import ResourceReader, located

ALL = (
    "Tier",
    "GlobalNetworkPolicy",
    "NetworkPolicy",
    "StagedGlobalNetworkPolicy",
    "StagedNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    "GlobalNetworkSet",
    "NetworkSet",
    "HostEndpoint",
    "WorkloadEndpoint",
)
"""What `all` stands for: policy, and what it applies to."""

GROUP_SUFFIX = ".projectcalico.org"

_GENERATED_PREFIXES = ("knp.default.", "default.", "staged:")
"""What converters and old writers put before the name that a person gave."""


class Selection(msgspec.Struct, frozen=True):
    """Objects of some kinds.

    Args:
        kinds: names of kinds, in the order in which to show them.
        keys: exactly these objects; None is all of the kinds.
        namespace: only of this one; None is of every namespace.
    """

    kinds: tuple[str, ...]
    keys: tuple[ResourceKey, ...] | None
    namespace: str | None

    @property
    def is_single(self) -> bool:
        """Whether one object was asked for, rather than a list."""
        return self.keys is not None and len(self.keys) == 1

    def includes(self, key: ResourceKey) -> bool:
        """Whether an object belongs to it."""
        if self.keys is not None:
            return key in self.keys
        return key.kind in self.kinds and (not key.namespace or self.namespace in (None, key.namespace))


def selection(words: Sequence[str], namespace: str, all_namespaces: bool = False) -> Selection:
    """The objects that `KIND[,KIND] [NAME...]` or `KIND/NAME...` name.

    Raises:
        InvalidResource: there is no such kind.
        click.UsageError: the words do not go together.
    """
    scope = None if all_namespaces else namespace
    _require_text(*words, namespace)
    if not words:
        raise click.UsageError(f"name a kind of resource, as in: {program()} get nodes")
    if "/" in words[0]:
        keys = tuple(_key(word, namespace) for word in words)
        if all_namespaces:
            raise click.UsageError("a name is of one namespace: say which by -n NAMESPACE")
        return Selection(tuple(dict.fromkeys(key.kind for key in keys)), keys, scope)
    kinds = kinds_of(words[0])
    if not words[1:]:
        return Selection(kinds, None, scope)
    if all_namespaces and any(KINDS[kind].namespaced for kind in kinds):
        raise click.UsageError("a name is of one namespace: say which by -n NAMESPACE")
    keys = tuple(located(ResourceKey(kind, namespace, name)) for kind in kinds for name in words[1:])
    return Selection(kinds, keys, scope)


def _require_text(*words: str) -> None:
    """Bytes of a command line that are no text are in no name. Raises click.UsageError."""
    for word in words:
        if not word.isascii() and any("\udc80" <= character <= "\udcff" for character in word):
            raise click.UsageError(f"{word!r} is not text in UTF-8")


def kinds_of(text: str) -> tuple[str, ...]:
    """The kinds of a comma-separated list, each once; `all` is policy and what it applies to.

    Raises:
        InvalidResource: there is no such kind.
    """
    names: list[str] = []
    for word in filter(None, text.split(",")):
        names += ALL if word.lower() == "all" else (_kind(word),)
    if not names:
        raise click.UsageError(f"name a kind of resource, as in: {program()} get nodes")
    return tuple(dict.fromkeys(names))


def selection_of_files(given: Input) -> Selection:
    """The objects that files name.

    Raises:
        InvalidResource: what a file holds cannot be understood.
    """
    # Reading manifests takes longer than all else that a reading command does.
    from tortie.cli.manifests import read_names

    named, problems = read_names(given)
    if problems:
        raise InvalidResource(*problems)
    keys = tuple(one.key for one in reversed(named))
    return Selection(tuple(dict.fromkeys(key.kind for key in keys)), keys, given.namespace)


class Found(msgspec.Struct, frozen=True):
    """What a selection found, and a sentence on each name that is not there or cannot be read."""

    resources: tuple[Resource, ...]
    problems: tuple[str, ...]
    missing: tuple[str, ...]


async def find(reader: ResourceReader, wanted: Selection) -> Found:
    """Read a selection from the datastore; what is absent keeps nothing else from being found."""
    if wanted.keys is None:
        lists = [await reader.list(kind, wanted.namespace) for kind in wanted.kinds]
        return Found(tuple(resource for found in lists for resource in found), (), ())
    resources: list[Resource] = []
    problems: list[str] = []
    missing: list[str] = []
    for key in wanted.keys:
        try:
            resource = await reader.get(key)
        except InvalidResource as error:
            problems.append(str(error))
            continue
        if resource is None:
            missing.append(await absence(reader, key))
        else:
            resources.append(resource)
    return Found(tuple(resources), tuple(problems), tuple(missing))


async def absence(reader: ResourceReader, key: ResourceKey) -> str:
    """That an object does not exist, and which ones may have been meant."""
    if not has_own_voice():
        return f"resource does not exist: {identifier(key)}"
    near = near_keys(key, await reader.keys(key.kind))
    if not near:
        return f"{key} does not exist"
    names = [one.name if one.namespace == key.namespace else f"{one.name} in namespace {one.namespace}" for one in near]
    return f"{key} does not exist; did you mean {' or '.join(names)}?"


def near_keys(wanted: ResourceKey, existing: Sequence[ResourceKey]) -> list[ResourceKey]:
    """At most three objects that may have been meant: of that name elsewhere, or of a similar name here."""
    here = {key.name: key for key in existing if key.namespace == wanted.namespace}
    plain = _plain(wanted.name)
    same = [key for key in existing if _plain(key.name) == plain]
    similar = [here[name] for name in get_close_matches(wanted.name, here, n=3, cutoff=0.7)]
    ordered = sorted(same, key=lambda key: key.namespace != wanted.namespace) + similar
    return list(dict.fromkeys(ordered))[:3]


def _plain(name: str) -> str:
    for prefix in _GENERATED_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _key(word: str, namespace: str) -> ResourceKey:
    kind, _, name = word.partition("/")
    if not kind or not name:
        raise click.UsageError(f"{word!r} is not KIND/NAME, as in: tier/default")
    return located(ResourceKey(_kind(kind), namespace, name))


def _kind(word: str) -> str:
    """The kind of a name that may have its API group behind it, as kubectl's users write."""
    return find_kind(word.lower().removesuffix(GROUP_SUFFIX)).kind
