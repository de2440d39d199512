"""Readers of what a datastore holds: keys, resources, address management, archives."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import msgspec
from target import GOLDEN, Target, text_of

from tortie.api import codec
from tortie.api.defaults import with_defaults
from tortie.api.endpointnames import parse_workload_endpoint_name, workload_endpoint_name
from tortie.api.foreign import carry_over
from tortie.api.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource, ResourceKey
from tortie.api.validation import problems
from tortie.base.errors import InvalidResource
from tortie.datastore.archive import FORMAT, Archive, Header, read_archive, write_archive
from tortie.datastore.keys import parse_key, stored_key
from tortie.datastore.values import decode_resource, decode_stored
from tortie.ipam import block as blocks
from tortie.ipam.ranges import Ranges
from tortie.selector.check import selector_problem


def stored_pairs() -> list[tuple[str, bytes]]:
    """Keys and values of all files of stored bytes."""
    pairs = []
    for path in sorted(GOLDEN.glob("*.txt")):
        lines = path.read_bytes().decode().split("\n")
        pairs += [(key, value.encode()) for key, value in itertools.pairwise(lines) if key.startswith("/calico/")]
    return pairs


KIND_NAMES = sorted(KINDS)


def resources() -> list[bytes]:
    return [value for key, value in stored_pairs() if b'"kind"' in value and parse_key(key)]


def read_resource(data: bytes) -> None:
    """As the kind that the bytes name, or any other."""
    name = next(
        (name for name in KIND_NAMES if f'"{name}"'.encode() in data[:300]), KIND_NAMES[len(data) % len(KIND_NAMES)]
    )
    resource = decode_resource(ResourceKey(name, "n" if KINDS[name].namespaced else "", "a"), data, 7)
    stored = codec.encode(resource)
    assert codec.encode(codec.decode(name, stored)) == stored
    filled = with_defaults(resource)
    problems(filled, selector_problem)
    codec.to_mapping(filled)
    if not resource.partial:
        keep_unknown(resource, data)


def keep_unknown(resource: Resource, data: bytes) -> None:
    """What is carried over from the bytes of another writer changes nothing that is known here."""
    filled = with_defaults(resource)
    metadata = msgspec.structs.replace(filled.metadata, labels={"a": "b"})
    wanted = codec.encode(msgspec.structs.replace(filled, metadata=metadata))
    carried = carry_over(data, codec.encode(filled), wanted, type(resource))
    assert codec.encode(codec.decode(resource.kind, carried.data)) == wanted
    assert not carried.lost


def key_seeds() -> list[bytes]:
    return [key.encode() for key, _ in stored_pairs()]


def read_key(data: bytes) -> None:
    key = parse_key(text_of(data))
    if key is not None:
        assert parse_key(stored_key(key)) == key
    name = parse_workload_endpoint_name(text_of(data))
    if name is not None:
        assert workload_endpoint_name(*name) == text_of(data)


def ipam_values(kind: str) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        named = ((parse_key(key), value) for key, value in stored_pairs())
        return [value for key, value in named if key and key.kind == kind and b'"kind"' not in value]

    return seeds


def read_block(data: bytes) -> None:
    block = decode_stored(ResourceKey("IPAMBlock", "", "10.65.1.64/30"), data, 7)
    assert isinstance(block, IPAMBlock)
    assert codec.decode_value(IPAMBlock, codec.encode_value(block)) == block
    holders = list(blocks.held(block))
    assert len(blocks.ordinals_of_handle(block, "h")) <= len(holders)
    blocks.borrowed(block)
    blocks.is_empty(block)
    kept = blocks.collect(block, 1787475731.0, 60)
    given = blocks.next_free(kept, 2, Ranges([]))
    assigned = blocks.written(blocks.assign(kept, given, blocks.BlockAttribute(handle_id="h")))
    for ordinal in given:
        assert blocks.ordinal_of(assigned, blocks.address_at(assigned, ordinal)) == ordinal
    blocks.collect(blocks.release(assigned, given, 1787475731.0), 1787475731.0, 0)
    carry_over(data, codec.encode_value(block), codec.encode_value(assigned), IPAMBlock)


def read_value(type: type[BlockAffinity | IPAMHandle | IPAMConfig]) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        value = codec.decode_value(type, data)
        assert codec.decode_value(type, codec.encode_value(value)) == value

    return read


def archives() -> list[bytes]:
    header = Header(format=FORMAT, version=1, cluster="c", revision=7, keys=2, taken="2026-08-23T09:00:00Z")
    values = {"/calico/a": b'{"x":1}', "/tortie/b": b"\xff"}
    return [b"".join(write_archive(Archive(header, values)))]


def read_any_archive(data: bytes) -> None:
    archive = read_archive(data.splitlines(keepends=True), "f")
    assert read_archive(write_archive(archive), "f") == archive


TARGETS = {
    "resource": Target(resources, read_resource, (InvalidResource,)),
    "key": Target(key_seeds, read_key, ()),
    "block": Target(ipam_values("IPAMBlock"), read_block, (InvalidResource,)),
    "affinity": Target(ipam_values("BlockAffinity"), read_value(BlockAffinity), (InvalidResource,)),
    "handle": Target(ipam_values("IPAMHandle"), read_value(IPAMHandle), (InvalidResource,)),
    "ipam settings": Target(ipam_values("IPAMConfig"), read_value(IPAMConfig), (InvalidResource,)),
    "archive": Target(archives, read_any_archive, (InvalidResource,)),
}
