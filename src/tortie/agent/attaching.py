"""The CNI plugin's server as an agent runs it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from random import Random

from tortie.agent.attached_endpoint import Names
from tortie.agent.attachments import Attachments
from tortie.agent.parts import Parts
from tortie.agent.settings import Settings
from tortie.agent.workload_addresses import WorkloadAddresses
from tortie.base.clock import Clock
from tortie.cni.server import CniServer
from tortie.datastore.resources import ResourceStore
from tortie.ipam.allocator import Allocator
from tortie.selector.check import selector_problem


def cni_server(settings: Settings, parts: Parts, wiring: Executor, mtu: Callable[[], int], clock: Clock) -> CniServer:
    """Open for workloads whenever the datastore is."""
    store = ResourceStore(parts.datastore, clock, selector_problem)
    allocator = Allocator(parts.datastore, clock, Random())
    addresses = WorkloadAddresses(settings.node, store, allocator, clock)
    names = Names(settings.node, settings.interface_prefix)
    attachments = Attachments(names, store, addresses, wiring, parts.feed, mtu)
    return CniServer(settings.run_directory / "cni.sock", attachments, lambda: parts.feed.closed)
