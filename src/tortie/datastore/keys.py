"""The etcd keys of resources and of address management, and what each key names. Pure.

Address-management objects have no resource of their own in etcd. In streams they are named by a
`ResourceKey` too: `IPAMBlock "" cidr`, `BlockAffinity host cidr`, `IPAMHandle "" id` and
`IPAMConfig "" default`; a virtual owner of a block stands in the host's place as `virtual:<name>`.
"""

from __future__ import annotations

from tortie.api.kinds import KINDS
from tortie.api.resource import API_VERSION, Resource, ResourceKey
from tortie.base.addresses import Cidr

RESOURCE_ROOT = "/calico/resources/v3/projectcalico.org/"
KUBERNETES_ROOT = "/tortie/kubernetes/v1/"
"""Kubernetes objects that have no resource to become; not below `/calico/`, which may be shared with others."""

IPAM_ROOT = "/calico/ipam/v2/"
IPAM_CONFIG_KEY = IPAM_ROOT + "config"
BLOCK_PREFIX = IPAM_ROOT + "assignment/"
HOST_AFFINITY_PREFIX = IPAM_ROOT + "host/"
VIRTUAL_AFFINITY_PREFIX = IPAM_ROOT + "virtual/"
HANDLE_PREFIX = IPAM_ROOT + "handle/"
VIRTUAL_OWNER = "virtual:"

IPAM_PREFIXES = {
    "IPAMBlock": (BLOCK_PREFIX,),
    "BlockAffinity": (HOST_AFFINITY_PREFIX, VIRTUAL_AFFINITY_PREFIX),
    "IPAMHandle": (HANDLE_PREFIX,),
    "IPAMConfig": (IPAM_CONFIG_KEY,),
}
"""Kinds of address management, and where each is stored."""

_KIND_OF_PLURAL = {resource.plural: resource for resource in KINDS.values()}


def escape(segment: str) -> str:
    """One path segment of a key: `%` and `/` escaped, all else as it is (legal names hold neither)."""
    return segment.replace("%", "%25").replace("/", "%2f")


def unescape(segment: str) -> str:
    """The inverse of `escape`."""
    return segment.replace("%2f", "/").replace("%25", "%")


def resource_key(key: ResourceKey) -> str:
    """Where a resource is stored.

    Raises:
        KeyError: the kind is not in the table of kinds.
    """
    return resource_prefix(key.kind, key.namespace or None) + escape(key.name)


def resource_prefix(kind: str, namespace: str | None = None) -> str:
    """What the keys of a kind, or of one namespace of it, begin with; ends in `/`."""
    prefix = f"{_root(KINDS[kind])}{KINDS[kind].plural}/"
    return f"{prefix}{escape(namespace)}/" if namespace else prefix


def parse_resource_key(text: str) -> ResourceKey | None:
    """The resource that a key names, or None when it names no resource of a known kind."""
    root = KUBERNETES_ROOT if text.startswith(KUBERNETES_ROOT) else RESOURCE_ROOT
    if not text.startswith(root):
        return None
    plural, *path = text[len(root) :].split("/")
    kind = _KIND_OF_PLURAL.get(plural)
    if kind is None or _root(kind) != root or len(path) != 1 + kind.namespaced or not all(path):
        return None
    namespace = unescape(path[0]) if kind.namespaced else ""
    return ResourceKey(kind.kind, namespace, unescape(path[-1]))


def _root(kind: type[Resource]) -> str:
    return RESOURCE_ROOT if kind.api_version == API_VERSION else KUBERNETES_ROOT


def block_key(cidr: str) -> str:
    """Where the allocation block of a prefix is stored.

    Raises:
        ValueError: not a prefix.
    """
    return BLOCK_PREFIX + _block_path(cidr)


def affinity_key(host: str, cidr: str) -> str:
    """Where the claim of a host, or of `virtual:<name>`, on a block is stored."""
    return affinity_prefix(host) + _block_path(cidr)


def affinity_prefix(host: str) -> str:
    """What the keys of all claims of one host, or of `virtual:<name>`, begin with."""
    if host.startswith(VIRTUAL_OWNER):
        return f"{VIRTUAL_AFFINITY_PREFIX}{host.removeprefix(VIRTUAL_OWNER)}/"
    return f"{HOST_AFFINITY_PREFIX}{host}/"


def handle_key(id: str) -> str:
    """Where the reverse index of a handle is stored; the id is not escaped."""
    return HANDLE_PREFIX + id


def stream_prefixes(kind: str) -> tuple[str, ...]:
    """The prefixes under which all objects of a kind, address management included, are stored."""
    return IPAM_PREFIXES.get(kind) or (resource_prefix(kind),)


def stored_key(key: ResourceKey) -> str:
    """Where an object is stored, of whatever kind; the inverse of `parse_key`."""
    match key.kind:
        case "IPAMBlock":
            return block_key(key.name)
        case "BlockAffinity" if key.namespace:
            return affinity_key(key.namespace, key.name)
        case "IPAMHandle":
            return handle_key(key.name)
        case "IPAMConfig":
            return IPAM_CONFIG_KEY
        case _:
            return resource_key(key)


def parse_key(text: str) -> ResourceKey | None:
    """The resource or address-management object that a key names, or None."""
    if not text.startswith(IPAM_ROOT):
        return parse_resource_key(text)
    if text == IPAM_CONFIG_KEY:
        return ResourceKey("IPAMConfig", "", "default")
    section, _, rest = text[len(IPAM_ROOT) :].partition("/")
    match section:
        case "assignment":
            return _named_block("IPAMBlock", "", rest)
        case "host":
            return _parse_affinity("", rest)
        case "virtual":
            return _parse_affinity(VIRTUAL_OWNER, rest)
        case "handle" if rest:
            return ResourceKey("IPAMHandle", "", rest)
        case _:
            return None


def _parse_affinity(owner_prefix: str, text: str) -> ResourceKey | None:
    owner, _, path = text.partition("/")
    return _named_block("BlockAffinity", owner_prefix + owner, path) if owner else None


def _named_block(kind: str, owner: str, path: str) -> ResourceKey | None:
    address, _, length = path.rpartition("/")[2].rpartition("-")
    cidr = f"{address}/{length}"
    try:
        return ResourceKey(kind, owner, cidr) if _block_path(cidr) == path else None
    except ValueError:
        return None


def _block_path(cidr: str) -> str:
    block = Cidr.parse(cidr)
    return f"ipv{block.family}/block/{block.text}-{block.length}"
