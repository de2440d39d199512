"""Where every prefix of the cluster is, from pools, blocks, nodes and endpoints; only what changes is looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tortie.api.ipam import IPAMBlock
from tortie.api.ippool import IPPool
from tortie.api.node import Node
from tortie.api.resource import ResourceKey
from tortie.base.addresses import Cidr
from tortie.calculation.holders import Hold, NodeFacts, PoolFacts, Role, block_holds, node_facts, pool_facts
from tortie.calculation.prefixes import Prefixes
from tortie.calculation.problems import Problems
from tortie.calculation.steps import Steps
from tortie.desired.cluster import ClusterRoute, Encapsulation, Kinds, Vtep, VtepId

_KINDS = {
    Role.BLOCK: (Kinds.LOCAL_WORKLOAD, Kinds.REMOTE_WORKLOAD),
    Role.LENT: (Kinds.LOCAL_WORKLOAD, Kinds.REMOTE_WORKLOAD),
    Role.WORKLOAD: (Kinds.LOCAL_WORKLOAD, Kinds.REMOTE_WORKLOAD),
    Role.TUNNEL: (Kinds.LOCAL_TUNNEL, Kinds.REMOTE_TUNNEL),
    Role.HOST: (Kinds.LOCAL_HOST, Kinds.REMOTE_HOST),
}
"""What a prefix is by what its holder has it as: here, and elsewhere."""

_NOWHERE = NodeFacts({}, {}, (), ())


class Cluster:
    """Facts by the resource that gives them, and what was last told of each prefix."""

    def __init__(self, node: str, problems: Problems) -> None:
        self._node = node
        self._problems = problems
        self._holds: dict[Cidr, Counter[Hold]] = {}
        self._given: dict[ResourceKey, tuple[Hold, ...]] = {}
        self._pools: dict[Cidr, dict[str, PoolFacts]] = {}
        self._pool_of: dict[str, PoolFacts] = {}
        self._nodes: dict[str, NodeFacts] = {}
        self._known = Prefixes()
        self._dirty: set[Cidr] = set()
        self._dirty_nodes: set[str] = set()
        self._of_node: dict[str, set[Cidr]] = {}
        self._told: dict[Cidr, ClusterRoute] = {}
        self._shifted: set[str] = set()
        self._ends: dict[VtepId, Vtep] = {}
        self._ends_are_dirty = False

    def put(self, key: ResourceKey, value: object) -> None:
        """Add, replace or, with None, remove a pool, a block or a node; other kinds are ignored."""
        try:
            match key.kind:
                case "IPPool":
                    self._put_pool(key.name, pool_facts(value) if isinstance(value, IPPool) else None)
                case "IPAMBlock":
                    self._give(key, block_holds(value) if isinstance(value, IPAMBlock) else ())
                case "Node":
                    self._put_node(key, node_facts(value, self._node) if isinstance(value, Node) else None)
        except ValueError as error:
            self._problems.note(key, error)
            self.put(key, None)

    def put_endpoint(self, key: ResourceKey, node: str, addresses: Iterable[Cidr]) -> None:
        """A workload has these addresses."""
        self._give(key, tuple(sorted({Hold(one, Role.WORKLOAD, node) for one in addresses})))

    def remove_endpoint(self, key: ResourceKey) -> None:
        """A workload is gone, or nothing to be known of."""
        if key in self._given:
            self._give(key, ())

    def flush(self) -> Steps[tuple[list[ClusterRoute], list[Cidr]]]:
        """What is new or different since the last flush, and what is gone."""
        changed: list[ClusterRoute] = []
        removed: list[Cidr] = []
        for prefix in sorted(self._concerned()):
            yield
            route, old = self._route(prefix), self._told.get(prefix)
            if route == old:
                continue
            self._tell(prefix, old, route)
            if route is None:
                removed.append(prefix)
            else:
                changed.append(route)
        return changed, removed

    def shifted(self) -> set[str]:
        """Nodes at which something is otherwise since this was last asked."""
        found, self._shifted = self._shifted, set()
        return found

    def at(self, node: str) -> list[ClusterRoute]:
        """What was last told to be at a node."""
        return [self._told[prefix] for prefix in self._of_node.get(node, ())]

    def flush_ends(self) -> tuple[list[Vtep], list[VtepId]]:
        """Ends of VXLAN that are new or different since the last flush, and those that are gone."""
        if not self._ends_are_dirty:
            return [], []
        self._ends_are_dirty = False
        wanted = {one.id: one for node in self._nodes.values() for one in node.ends}
        changed = [one for one in wanted.values() if self._ends.get(one.id) != one]
        removed = sorted(self._ends.keys() - wanted.keys())
        self._ends = wanted
        return sorted(changed, key=lambda one: one.id), removed

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        held = (self._holds, self._given, self._pools, self._nodes, self._known, self._of_node, self._told, self._ends)
        return not any(held)

    # Facts

    def _put_pool(self, name: str, pool: PoolFacts | None) -> None:
        old = self._pool_of.pop(name, None)
        if pool is not None:
            self._pool_of[name] = pool
        if old == pool:
            return
        if old is not None:
            del self._pools[old.cidr][name]
            if not self._pools[old.cidr]:
                del self._pools[old.cidr]
            self._touch(old.cidr)
        if pool is not None:
            self._pools.setdefault(pool.cidr, {})[name] = pool
            self._touch(pool.cidr)

    def _put_node(self, key: ResourceKey, node: NodeFacts | None) -> None:
        name = key.name
        old = self._nodes.pop(name, _NOWHERE)
        if node is not None:
            self._nodes[name] = node
        new = node or _NOWHERE
        self._ends_are_dirty |= old.ends != new.ends
        if old.addresses != new.addresses:
            self._dirty_nodes.add(name)
        if name == self._node and old.subnets != new.subnets:
            self._dirty_nodes |= self._of_node.keys()
        self._give(key, new.holds)

    def _give(self, key: ResourceKey, holds: tuple[Hold, ...]) -> None:
        """A resource says that, and nothing else any more."""
        old = self._given.pop(key, ())
        if holds:
            self._given[key] = holds
        if old == holds:
            return
        for one in set(holds).difference(old):
            self._holds.setdefault(one.prefix, Counter())[one] += 1
            self._touch(one.prefix)
        for one in set(old).difference(holds):
            counts = self._holds[one.prefix]
            counts[one] -= 1
            if not counts[one]:
                del counts[one]
            if not counts:
                del self._holds[one.prefix]
            self._touch(one.prefix)

    def _touch(self, prefix: Cidr) -> None:
        """Something about a prefix, and thereby about those inside it, may be otherwise."""
        self._dirty.add(prefix)
        if prefix in self._holds or prefix in self._pools:
            self._known.add(prefix)
        else:
            self._known.discard(prefix)

    # Routes

    def _concerned(self) -> set[Cidr]:
        dirty, self._dirty = self._dirty, set()
        nodes, self._dirty_nodes = self._dirty_nodes, set()
        found = set(dirty).union(*(self._of_node.get(name, ()) for name in nodes))
        return found.union(*(self._known.inside(prefix) for prefix in dirty if not prefix.is_host))

    def _tell(self, prefix: Cidr, old: ClusterRoute | None, new: ClusterRoute | None) -> None:
        self._shifted.update(one.node for one in (old, new) if one is not None)
        if old is not None and old.node:
            self._of_node[old.node].discard(prefix)
            if not self._of_node[old.node]:
                del self._of_node[old.node]
        if new is None:
            del self._told[prefix]
            return
        self._told[prefix] = new
        if new.node:
            self._of_node.setdefault(new.node, set()).add(prefix)

    def _route(self, prefix: Cidr) -> ClusterRoute | None:
        holds = self._holds.get(prefix, ())
        pool, block = self._surroundings(prefix)
        if not holds and prefix not in self._pools:
            return None
        workloads = self._workloads(holds, block)
        others = sorted((one.role, one.node != self._node, one.node) for one in holds if one.role > Role.WORKLOAD)
        kinds = self._kinds([*((one.role, one.node) for one in workloads), *((role, name) for role, _, name in others)])
        node = workloads[-1].node if workloads else others[0][2] if others else ""
        address = self._nodes.get(node, _NOWHERE).addresses.get(prefix.family)
        return ClusterRoute(
            destination=prefix,
            kinds=kinds,
            encapsulation=Encapsulation(pool.encapsulation) if pool else Encapsulation.NONE,
            node=node,
            address=address,
            masqueraded=pool is not None and pool.masqueraded,
            same_subnet=pool is not None and pool.across and self._is_near(node, address),
            borrowed=len({one.node for one in workloads}) > 1,
            attached=any(one.role is Role.WORKLOAD and one.node == self._node for one in workloads[-1:]),
        )

    def _surroundings(self, prefix: Cidr) -> tuple[PoolFacts | None, Hold | None]:
        """The narrowest pool and the narrowest block that a prefix is in, or is."""
        pool, block = None, None
        for outer in self._known.around(prefix):
            if outer in self._pools:
                pool = min(self._pools[outer].values())
            block = min((one for one in self._holds.get(outer, ()) if one.role is Role.BLOCK), default=block)
        return pool, block

    def _workloads(self, holds: Iterable[Hold], block: Hold | None) -> list[Hold]:
        """Who holds it for workloads: by its block, by what the block says of it, by an endpoint; the last has it."""
        found = []
        for role in (Role.BLOCK, Role.LENT, Role.WORKLOAD):
            claims = [one for one in holds if one.role is role]
            found += sorted(claims, key=lambda one: (one.node != self._node, one.node))[:1]
        if found and block is not None and found[0].role is not Role.BLOCK:
            found.insert(0, block)
        return found

    def _kinds(self, holders: Iterable[tuple[Role, str]]) -> Kinds:
        kinds = Kinds.POOL
        for role, node in holders:
            kinds |= _KINDS[role][node != self._node]
        return kinds

    def _is_near(self, node: str, address: Cidr | None) -> bool:
        """Whether another node is in the subnet of this one."""
        if address is None or node == self._node:
            return False
        subnet = self._nodes.get(self._node, _NOWHERE).subnets.get(address.family)
        return subnet is not None and subnet.contains(address)
