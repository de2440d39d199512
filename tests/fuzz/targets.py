"""Everything that reads what others wrote: its good inputs, what is done with an input, and the errors it may raise."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tortie.agent.settings import read_settings
from tortie.api import codec, durations
from tortie.api.defaults import with_defaults
from tortie.api.documents import is_resource, load_resource, scan_documents
from tortie.api.foreign import carry_over
from tortie.api.ipam import BlockAffinity, IPAMBlock, IPAMConfig, IPAMHandle
from tortie.api.kinds import KINDS
from tortie.api.resource import Resource, ResourceKey
from tortie.api.validation import problems
from tortie.base.errors import InvalidResource, KernelError, TortieError, Unavailable
from tortie.bgp.control import BirdControl, BirdRefused
from tortie.bgp.status import parse_protocols
from tortie.cni import request as cni
from tortie.cni.errors import CniError
from tortie.convert.kubernetes import convert
from tortie.datastore.etcd import messages
from tortie.datastore.etcd.settings import read_endpoints
from tortie.datastore.keys import parse_key, stored_key
from tortie.datastore.location import find_location
from tortie.datastore.names import parse_workload_endpoint_name, workload_endpoint_name
from tortie.datastore.values import decode_resource, decode_stored
from tortie.ipam import block as blocks
from tortie.ipam.ranges import Ranges
from tortie.netlink import addresses, conntrack, links, monitor, neighbours, netconf, nftables_dump, route, wire
from tortie.netlink.socket import raise_on_error
from tortie.selector.check import selector_problem
from tortie.selector.errors import InvalidSelector
from tortie.selector.parser import parse

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "datastore" / "golden"
CONFORMANCE = TESTS / "conformance" / "data"
EXAMPLES = TESTS.parent / "examples"


class Target(NamedTuple):
    """One reader.

    Args:
        seeds: inputs that are right.
        run: reads one input, and whatever uses what was read.
        errors: what a wrong input may raise.
        words: pieces of its language.
    """

    seeds: Callable[[], Sequence[bytes]]
    run: Callable[[bytes], object]
    errors: tuple[type[BaseException], ...]
    words: tuple[bytes, ...] = ()


def text_of(data: bytes) -> str:
    """Any bytes as text, broken characters and half ones too."""
    return data.decode("utf-8", "surrogateescape")


# --- resources


def stored_pairs() -> list[tuple[str, bytes]]:
    """Keys and values of all files of stored bytes."""
    pairs = []
    for path in sorted(GOLDEN.glob("*.txt")):
        lines = path.read_bytes().decode().split("\n")
        pairs += [(key, value.encode()) for key, value in itertools.pairwise(lines) if key.startswith("/calico/")]
    return pairs


def manifests() -> list[bytes]:
    found = [path.read_bytes() for path in sorted(EXAMPLES.rglob("*.yaml"))]
    for path in sorted(GOLDEN.glob("[A-Z]*.txt")):
        sections = path.read_bytes().removeprefix(b"## ").split(b"\n## ")
        found += [section.partition(b"\n")[2].partition(b"\n-- etcd\n")[0] for section in sections]
    cases = json.loads((CONFORMANCE / "validation.json").read_bytes())["cases"]
    return found + [json.dumps(case.get("resource", case["value"])).encode() for case in cases[::5]]


def read_manifest(data: bytes) -> None:
    documents, _ = scan_documents(text_of(data), "f.yaml")
    for document in documents:
        if is_resource(document):
            judge(load_resource(document))


def judge(resource: Resource) -> None:
    """What is done with a resource that a person gives; a valid one must survive being stored."""
    filled = with_defaults(resource)
    assert with_defaults(filled) == filled
    if not problems(filled, selector_problem):
        stored = codec.encode(filled)
        assert codec.encode(codec.decode(filled.kind, stored)) == stored


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
        carry_over(
            data, codec.encode(filled), codec.encode(with_defaults(msgspec.structs.replace(resource))), type(resource)
        )


# --- keys and names


def key_seeds() -> list[bytes]:
    return [key.encode() for key, _ in stored_pairs()]


def read_key(data: bytes) -> None:
    key = parse_key(text_of(data))
    if key is not None:
        assert parse_key(stored_key(key)) == key
    name = parse_workload_endpoint_name(text_of(data))
    if name is not None:
        assert workload_endpoint_name(*name) == text_of(data)


# --- address management


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


# --- selectors


def selectors() -> list[bytes]:
    cases = json.loads((CONFORMANCE / "selectors.json").read_bytes())["cases"]
    return sorted({case["selector"].encode("utf-8", "surrogatepass") for case in cases if "selector" in case})


LABELS = {"a": "b", "role": "", "é": "x", "projectcalico.org/namespace": "shop"}


def read_selector(data: bytes) -> None:
    selector = parse(text_of(data))
    again = parse(selector.canonical)
    assert again.canonical == selector.canonical
    assert selector.matches(LABELS) == again.matches(LABELS)


# --- etcd on the wire

VERSIONED = messages.message(1, messages.integer(3, 7))
PAIR = (
    messages.text(1, b"/calico/a") + messages.integer(2, 3) + messages.integer(3, 5) + messages.text(5, b"value" * 30)
)


def etcd_answers() -> list[bytes]:
    listing = VERSIONED + messages.message(2, PAIR) * 3 + messages.integer(3, 1) + messages.integer(4, 3)
    event = messages.integer(1, 1) + messages.message(2, PAIR) + messages.message(3, PAIR)
    watch = VERSIONED + messages.integer(2, 1) + messages.integer(3, 1) + messages.message(11, event) * 2
    cancelled = VERSIONED + messages.integer(4, 1) + messages.integer(5, 9) + messages.text(6, b"compacted")
    operation = messages.message(1, messages.message(2, PAIR)) + messages.message(3, messages.integer(2, 1))
    transaction = VERSIONED + messages.integer(2, 1) + messages.message(3, operation)
    return [listing, watch, cancelled, transaction, VERSIONED, messages.text(2, b"token")]


def read_answer(data: bytes) -> None:
    for read in (lambda: messages.key_values(messages.range_page(data)), lambda: messages.txn_reply(data)):
        suppressing(Unavailable, read)
    for decode in (messages.watch_reply, messages.reply_revision, messages.token):
        suppressing(Unavailable, lambda decode=decode: decode(data))  # type: ignore[misc] # bound at once


def suppressing(error: type[BaseException], run: Callable[[], object]) -> None:
    try:
        run()
    except error:
        return


# --- settings

CALICOCTL = b"""apiVersion: projectcalico.org/v3
kind: CalicoAPIConfig
metadata:
spec:
  datastoreType: etcdv3
  etcdEndpoints: https://10.0.0.1:2379, http://[fd00::1]:2379
  etcdUsername: u
  etcdPassword: "p"
  k8sAPIEndpoint: x
"""
SETTINGS = b"""# agent
[global]
node = n1
health_port=9099
refresh_seconds = 90.5
interface_prefix = cali
default_endpoint_to_host_action = Drop
log_level = debug
"""


def read_calicoctl(data: bytes) -> None:
    path = Path("/dev/shm") / f"tt-fuzz-calicoctl-{id(CALICOCTL)}.cfg"
    path.write_bytes(data)
    try:
        location = find_location({}, path)
        if not isinstance(location, Path):
            read_endpoints(location)
    finally:
        path.unlink()


def read_agent_settings(data: bytes) -> None:
    text = text_of(data)
    read_settings({}, text)


# --- container runtimes

CNI = (
    b"CNI_COMMAND=ADD\0CNI_CONTAINERID=3fa9c1\0CNI_NETNS=/var/run/netns/x\0CNI_IFNAME=eth0\0"
    b"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0\0\0"
    b'{"cniVersion":"1.0.0","name":"k8s-pod-network","type":"tortie-cni","mtu":1440,"ipam":{"type":"calico-ipam",'
    b'"assign_ipv4":"true","assign_ipv6":false,"ipv4_pools":["10.65.0.0/16","pool-a"]},'
    b'"args":{"cni":{"labels":[{"key":"a","value":"b"}],"ips":["10.65.1.4"]}},'
    b'"runtimeConfig":{"ips":["10.65.1.5/26"]}}'
)


def read_cni(data: bytes) -> None:
    request = cni.parse(data)
    assert request.workload is not None
    assert request.handle
    assert isinstance(request.labels, dict)
    request.wants(4)
    request.wants(6)
    assert all(address.is_host for address in request.requested_addresses)


# --- BIRD

BIRD = b"""0001 BIRD 2.0.12 ready.
2002-Name       Proto      Table      State  Since         Info
1002-mesh_n2    BGP        ---        up     2026-11-22 22:30:34  Established
1006-  BGP state:          Established
     Neighbor address: 172.31.0.2
     Neighbor AS:      64512
     Routes:         3 imported, 1 exported, 0 preferred
1002-kernel1    Kernel     master4    up     22:30:34.123
0000 done
"""
REFUSAL = b"8001 Reply too long\n"


class Hearing:
    """A socket that has said everything."""

    def recv(self, _: int) -> bytes:
        return b""


def read_bird(data: bytes) -> None:
    control = BirdControl.__new__(BirdControl)
    control._buffer, control._socket = data, Hearing()  # type: ignore[assignment] # stands in for a socket
    try:
        while True:
            parse_protocols(control._reply("show"))
    except ConnectionResetError:
        return


# --- netlink


def netlink_messages() -> list[bytes]:
    attribute = wire.attribute
    nested = attribute(2, attribute(1, b"\0\0\0\1") + attribute(2, b"chain\0"))
    return [
        struct.pack("=BxHiII", 0, 1, 7, 0x41, 0) + attribute(3, b"cali0\0") + attribute(4, struct.pack("=I", 1500)),
        struct.pack("=BBBBI", 2, 24, 0, 0, 7) + attribute(1, b"\x0a\0\0\1") + attribute(2, b"\x0a\0\0\1"),
        struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 80, 253, 1, 0)
        + attribute(1, b"\x0a\0\0\1")
        + attribute(4, b"\7\0\0\0"),
        struct.pack("=BBBBBBBBI", 10, 128, 0, 0, 254, 80, 0, 1, 0) + attribute(1, bytes(16)) + attribute(9, bytes(16)),
        struct.pack("=BxHiHBB", 10, 0, 7, 0x80, 8, 0) + attribute(1, bytes(16)) + attribute(2, bytes(6)),
        struct.pack("=BBH", 2, 0, 0) + attribute(1, attribute(1, attribute(1, bytes(4)) + attribute(2, bytes(4)))),
        struct.pack("=BBH", 1, 0, 0) + attribute(1, b"tortie\0") + attribute(3, b"forward\0") + attribute(4, nested),
        struct.pack("=BBH", 1, 0, 0)
        + attribute(2, b"set\0")
        + attribute(3, attribute(1, attribute(1, attribute(1, bytes(4))))),
        struct.pack("=BBH", 1, 0, 0)
        + attribute(4, attribute(1, attribute(1, b"counter\0") + nested))
        + attribute(7, b"\0\4abcd"),
        struct.pack("=i", -2) + struct.pack("=IHHII", 20, 24, 5, 1, 0) + bytes(4),
    ]


PARSERS: tuple[Callable[[wire.Message], object], ...] = (
    links.decode_link,
    addresses.decode_address,
    route.decode_route,
    neighbours.decode_neighbour,
    conntrack.decode_connection,
    netconf.interpret,
    lambda message: monitor.interpret(message, monitor.LinkTable()),
    nftables_dump.parse_chain,
    nftables_dump.parse_set,
    lambda message: list(nftables_dump.parse_elements([message])),
    lambda message: nftables_dump.parse_keys([message], 4),
    lambda message: nftables_dump.jump_targets(nftables_dump.parse_rule(message).expressions),
    lambda message: nftables_dump.counters(nftables_dump.parse_rule(message).expressions),
    lambda message: list(wire.messages(message.payload)),
)


def read_netlink(data: bytes) -> None:
    for kind in (16, 17, 24, 25):
        message = wire.Message(kind, 0, 1, data)
        for read in PARSERS if kind == 16 else PARSERS[:7]:
            suppressing(wire.TruncatedMessage, lambda read=read, message=message: read(message))  # type: ignore[misc]
    suppressing(KernelError, lambda: raise_on_error(wire.Message(wire.NLMSG_ERROR, len(data), 1, data), "test"))


# --- Kubernetes


VERSIONS = {
    "Namespace": "v1",
    "ServiceAccount": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}


def kubernetes_objects() -> list[bytes]:
    cases = json.loads((CONFORMANCE / "k8s_conversion.json").read_bytes())["cases"]
    found = [
        {"apiVersion": VERSIONS[case["kind"]], "kind": case["kind"], **case["input"]}
        for case in cases
        if case["kind"] in VERSIONS
    ]
    probes = json.loads((CONFORMANCE / "admin_policy_anp_banp.json").read_bytes())["cases"]
    found += [policy for case in probes[::4] for policy in case["policies"]]
    return [json.dumps(one).encode() for one in found]


def read_kubernetes(data: bytes) -> None:
    """From a file, as people give them."""
    documents, _ = scan_documents(text_of(data))
    for document in documents:
        filled = with_defaults(convert(document.mapping).resource)
        problems(filled, selector_problem)


def read_duration(data: bytes) -> None:
    duration = durations.nanoseconds(text_of(data))
    if duration is not None:
        assert durations.nanoseconds(durations.spelt(duration)) == duration


TARGETS: dict[str, Target] = {
    "manifest": Target(manifests, read_manifest, (InvalidResource,)),
    "resource": Target(resources, read_resource, (InvalidResource,)),
    "key": Target(key_seeds, read_key, ()),
    "block": Target(ipam_values("IPAMBlock"), read_block, (InvalidResource,)),
    "affinity": Target(ipam_values("BlockAffinity"), read_value(BlockAffinity), (InvalidResource,)),
    "handle": Target(ipam_values("IPAMHandle"), read_value(IPAMHandle), (InvalidResource,)),
    "ipam settings": Target(ipam_values("IPAMConfig"), read_value(IPAMConfig), (InvalidResource,)),
    "selector": Target(selectors, read_selector, (InvalidSelector,)),
    "etcd": Target(etcd_answers, read_answer, ()),
    "calicoctl.cfg": Target(lambda: [CALICOCTL], read_calicoctl, (InvalidResource,)),
    "agent settings": Target(lambda: [SETTINGS], read_agent_settings, (InvalidResource,)),
    "cni": Target(lambda: [CNI, CNI.partition(b"\0\0")[2]], read_cni, (CniError,)),
    "bird": Target(lambda: [BIRD, BIRD + REFUSAL], read_bird, (BirdRefused,)),
    "netlink": Target(netlink_messages, read_netlink, (wire.TruncatedMessage,)),
    "kubernetes": Target(kubernetes_objects, read_kubernetes, (TortieError,)),
    "duration": Target(lambda: [b"1h2m3.5s", b"100ms", b"0"], read_duration, ()),
}
"""All readers by name."""
