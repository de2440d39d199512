"""Active policies: which policies select which endpoints of this node."""

from __future__ import annotations

from collections.abc import Iterator, Set

import msgspec
from pyroaring import BitMap

from tortie.api.policy import GlobalNetworkPolicy, GlobalNetworkPolicySpec, NetworkPolicy, NetworkPolicySpec
from tortie.api.resource import ResourceKey
from tortie.calculation.compile import CompiledPolicy, compile_policy
from tortie.calculation.labels import LabelChanges, LabelIndex
from tortie.calculation.multimap import Multimap
from tortie.calculation.ordering import Ordering, PolicyRank, policy_rank
from tortie.calculation.problems import Problems
from tortie.calculation.programs import Programs
from tortie.calculation.selections import Selection, Selections
from tortie.calculation.staged import Replacements, Staged
from tortie.calculation.steps import Steps
from tortie.calculation.subjects import Subjects
from tortie.desired.policy import PolicyId, Stage
from tortie.selector.parser import Selector
from tortie.selector.scoping import policy_selector

AnyPolicy = NetworkPolicy | GlobalNetworkPolicy


class _Entry(msgspec.Struct, gc=False):
    """A policy that can select endpoints, and whom it selects now."""

    spec: NetworkPolicySpec | GlobalNetworkPolicySpec
    selector: Selector
    rank: PolicyRank
    selection: Selection | None = None


class Kind(msgspec.Struct, frozen=True, gc=False):
    """Of endpoints: the selectors of policies that select them, by canonical text, and the stages they are in."""

    selections: frozenset[str]
    stages: frozenset[Stage]


class ActivePolicies:
    """A policy is active while it selects an endpoint of this node that it can govern; only then is it compiled."""

    def __init__(self, subjects: Subjects, index: LabelIndex, programs: Programs, problems: Problems) -> None:
        self.selections = Selections(index, lambda _: subjects.items)
        self.ordering = Ordering()
        self._subjects = subjects
        self._programs = programs
        self._problems = problems
        self._entries: dict[PolicyId, _Entry] = {}
        self._pending: dict[PolicyId, AnyPolicy | None] = {}
        self._selecting: Multimap[str, PolicyId] = Multimap()
        self._matched: Multimap[int, str] = Multimap()
        self._active: set[PolicyId] = set()
        self._replaced = Replacements()

    def put(self, policy_id: PolicyId, policy: AnyPolicy | None) -> None:
        """Add, replace or, with None, remove a policy; takes effect at the next flush."""
        self._pending[policy_id] = policy

    def stage(self, policy_id: PolicyId, staged: Staged | None) -> None:
        """Add, replace or, with None, remove a staged policy; takes effect at the next flush."""
        self._pending[policy_id] = staged.policy if staged else None
        self._replaced.put(policy_id, staged.target if staged else None)

    def kind_of(self, item: int) -> Kind:
        """What decides which policies govern an endpoint; endpoints that have this in common are governed alike."""
        stages = frozenset(stage for stage in Stage if item in self._subjects.of_stage[stage])
        return Kind(frozenset(self._matched.of(item)), stages)

    def matching(self, kind: Kind, stage: Stage) -> Set[PolicyId]:
        """The active policies of one stage that govern endpoints of a kind."""
        return {policy for policy in self._governing(kind, stage) if not policy.is_staged}

    def pending(self, kind: Kind) -> Set[PolicyId]:
        """The policies that would govern endpoints of a kind if all that is staged were enforced."""
        return {policy for policy in self._governing(kind, Stage.NORMAL) if policy not in self._replaced}

    def _governing(self, kind: Kind, stage: Stage) -> Iterator[PolicyId]:
        """Enforced and staged."""
        if stage not in kind.stages:
            return
        for text in kind.selections:
            for policy in self._selecting.of(text):
                if policy in self._active and self._entries[policy].rank.stage is stage:
                    yield policy

    def flush(self, changes: LabelChanges) -> Steps[BitMap]:
        """Follow all changes; returns the endpoints whose policies, or their order, may be different."""
        touched = BitMap()
        reconsidered: set[PolicyId] = set()
        for change in (yield from self.selections.refresh(changes)):
            text = change.selection.selector.canonical
            self._match(text, change.now - change.before)
            self._unmatch(text, change.before - change.now)
            touched |= change.now ^ change.before
            reconsidered.update(self._selecting.of(text))
        pending, self._pending = self._pending, {}
        for policy_id, policy in pending.items():
            touched |= self._replace(policy_id, policy)
            yield
        for policy_id in reconsidered - pending.keys():
            self._activate(policy_id, again=False)
            yield
        for policy_id in self._replaced.take_changed():
            if (entry := self._entries.get(policy_id)) and entry.selection:
                touched |= entry.selection.items
        return touched

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        held = (self._entries, self._pending, self._selecting, self._matched, self._active, self.ordering.policies)
        return not (any(held) or self.selections) and self._replaced.is_empty()

    def _replace(self, policy_id: PolicyId, policy: AnyPolicy | None) -> BitMap:
        """Put a new version in the place of the old one; returns whom either selects."""
        touched = self._close(policy_id)
        entry = None if policy is None else self._read(policy_id, policy)
        if entry is not None:
            text = entry.selector.canonical
            entry.selection = self.selections.acquire(entry.selector)
            self._entries[policy_id] = entry
            if text not in self._selecting:
                self._match(text, entry.selection.items)
            self._selecting.add(text, policy_id)
            touched |= entry.selection.items
        self._activate(policy_id, again=True)
        return touched

    def _close(self, policy_id: PolicyId) -> BitMap:
        entry = self._entries.pop(policy_id, None)
        if entry is None or entry.selection is None:
            return BitMap()
        text, items = entry.selector.canonical, entry.selection.items.copy()
        self.selections.release(entry.selection)
        self._selecting.discard(text, policy_id)
        if text not in self._selecting:
            self._unmatch(text, items)
        return items

    def _read(self, policy_id: PolicyId, policy: AnyPolicy) -> _Entry | None:
        """None also for staged policies of early stages: those govern hosts only, where nothing is counted yet."""
        try:
            entry = _Entry(policy.spec, policy_selector(policy), policy_rank(policy.spec))
        except ValueError as error:
            self._problems.note(_key(policy_id), error)
            return None
        early = policy_id.is_staged and entry.rank.stage is not Stage.NORMAL
        return entry if entry.rank.directions and not early else None

    def _activate(self, policy_id: PolicyId, again: bool) -> None:
        """Make the policy active if it selects anybody, else inactive; `again` recompiles it."""
        entry = self._entries.get(policy_id)
        wanted = entry is not None and self._governs_any(entry)
        if wanted == (policy_id in self._active) and not again:
            return
        compiled = self._compile(policy_id, entry) if entry is not None and wanted else None
        if compiled is not None and entry is not None:
            self._active.add(policy_id)
            self.ordering.put(policy_id, entry.rank)
            self._programs.put(policy_id, compiled)
        elif policy_id in self._active:
            self._active.discard(policy_id)
            self.ordering.remove(policy_id)
            self._programs.put(policy_id, None)

    def _governs_any(self, entry: _Entry) -> bool:
        governed = self._subjects.of_stage[entry.rank.stage]
        return entry.selection is not None and entry.selection.items.intersect(governed)

    def _compile(self, policy_id: PolicyId, entry: _Entry) -> CompiledPolicy | None:
        spec = entry.spec
        try:
            return compile_policy(policy_id, entry.rank.tier, spec.ingress, spec.egress, entry.rank.stage)
        except ValueError as error:
            self._problems.note(_key(policy_id), error)
            return None

    def _match(self, text: str, items: BitMap) -> None:
        for item in items:
            self._matched.add(item, text)

    def _unmatch(self, text: str, items: BitMap) -> None:
        for item in items:
            self._matched.discard(item, text)


def _key(policy: PolicyId) -> ResourceKey:
    return ResourceKey(policy.kind, policy.namespace, policy.name)
