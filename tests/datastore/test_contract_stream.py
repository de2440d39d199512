"""What those who follow resources are owed by every driver."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import structlog

from tortie.api.codec import encode
from tortie.api.networkset import GlobalNetworkSet, NetworkSetSpec
from tortie.api.resource import Metadata, ResourceKey
from tortie.base.clock import SystemClock
from tortie.datastore.contract import Datastore
from tortie.datastore.keys import resource_key
from tortie.datastore.stream import ResourceStream

DEADLINE = 30.0
GOOD, BAD, LATE = (ResourceKey("GlobalNetworkSet", "", name) for name in ("good", "bad", "late"))


def network_set(key: ResourceKey, net: str) -> bytes:
    return encode(GlobalNetworkSet(metadata=Metadata(name=key.name), spec=NetworkSetSpec(nets=(net,))))


async def test_what_cannot_be_parsed_is_reported_and_absent_and_the_stream_goes_on(datastore: Datastore) -> None:
    await datastore.put(resource_key(GOOD), network_set(GOOD, "10.0.0.0/8"))
    await datastore.put(resource_key(BAD), b"\x00\xff{")
    state: dict[ResourceKey, object] = {}
    steps = [
        (BAD, network_set(BAD, "10.1.0.0/16")),
        (GOOD, b'{"spec": {"nets": "ten"}}'),
        (LATE, b""),
        (GOOD, network_set(GOOD, "10.2.0.0/16")),
    ]
    stream = ResourceStream(datastore, ["GlobalNetworkSet"], SystemClock())
    with structlog.testing.capture_logs() as logs:
        async with aclosing(stream.batches()) as batches, asyncio.timeout(DEADLINE):  # type: ignore[type-var]
            async for batch in batches:
                state.update({change.key: change.value for change in batch.changes})
                if not batch.in_sync:
                    continue
                if not steps:
                    break
                key, data = steps.pop(0)
                await datastore.put(resource_key(key), data)
    assert {key.name: value is not None for key, value in state.items()} == {"good": True, "bad": True, "late": False}
    assert stream.rejected.keys() == {LATE}
    unreadable = [event["key"] for event in logs if event["event"] == "stored_object_unreadable"]
    assert unreadable == [resource_key(key) for key in (BAD, GOOD, LATE)]
