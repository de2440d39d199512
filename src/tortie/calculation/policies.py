"""Active policies: which policies select which endpoints of this node."""

from __future__ import annotations

from collections.abc import Iterable, Set

import msgspec
from pyroaring import BitMap

from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.resource import ResourceKey
from tortie.calculation.compile import CompiledPolicy, compile_policy
from tortie.calculation.labels import LabelChanges, LabelIndex
from tortie.calculation.ordering import Ordering, PolicyRank, policy_rank
from tortie.calculation.problems import Problems
from tortie.calculation.programs import Programs
from tortie.calculation.selections import Selection, Selections
from tortie.calculation.staged import Replacements, Staged
from tortie.calculation.subjects import Subjects
from tortie.desired.policy import PolicyId, Stage
from tortie.selector.parser import Selector
from tortie.selector.scoping import policy_selector

AnyPolicy = NetworkPolicy | GlobalNetworkPolicy


class _Entry(msgspec.Struct):
    """A policy that can select endpoints, and whom it selects now."""

    policy: AnyPolicy
    selector: Selector
    rank: PolicyRank
    selection: Selection | None = None


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
        self._selecting: dict[str, set[PolicyId]] = {}
        self._matched: dict[int, set[PolicyId]] = {}
        self._active: set[PolicyId] = set()
        self._replaced = Replacements()

    def put(self, policy_id: PolicyId, policy: AnyPolicy | None) -> None:
        """Add, replace or, with None, remove a policy; takes effect at the next flush."""
        self._pending[policy_id] = policy

    def stage(self, policy_id: PolicyId, staged: Staged | None) -> None:
        """Add, replace or, with None, remove a staged policy; takes effect at the next flush."""
        self._pending[policy_id] = staged.policy if staged else None
        self._replaced.put(policy_id, staged.target if staged else None)

    def matching(self, item: int, stage: Stage) -> Set[PolicyId]:
        """The active policies of one stage that govern an endpoint."""
        return {policy for policy in self._governing(item, stage) if not policy.is_staged}

    def pending(self, item: int) -> Set[PolicyId]:
        """The policies that would govern an endpoint if all that is staged were enforced."""
        return {policy for policy in self._governing(item, Stage.NORMAL) if policy not in self._replaced}

    def _governing(self, item: int, stage: Stage) -> Set[PolicyId]:
        """Enforced and staged."""
        if item not in self._subjects.of_stage[stage]:
            return set()
        active = self._matched.get(item, set()) & self._active
        return {policy for policy in active if self._entries[policy].rank.stage is stage}

    def flush(self, changes: LabelChanges) -> BitMap:
        """Follow all changes; returns the endpoints whose policies, or their order, may be different."""
        touched = BitMap()
        reconsidered: set[PolicyId] = set()
        for change in self.selections.refresh(changes):
            users = self._selecting[change.selection.selector.canonical]
            self._match(users, change.now - change.before)
            self._unmatch(users, change.before - change.now)
            touched |= change.now ^ change.before
            reconsidered |= users
        pending, self._pending = self._pending, {}
        for policy_id, policy in pending.items():
            touched |= self._replace(policy_id, policy)
        for policy_id in reconsidered - pending.keys():
            self._activate(policy_id, again=False)
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
            entry.selection = self.selections.acquire(entry.selector)
            self._entries[policy_id] = entry
            self._selecting.setdefault(entry.selector.canonical, set()).add(policy_id)
            self._match({policy_id}, entry.selection.items)
            touched |= entry.selection.items
        self._activate(policy_id, again=True)
        return touched

    def _close(self, policy_id: PolicyId) -> BitMap:
        entry = self._entries.pop(policy_id, None)
        if entry is None or entry.selection is None:
            return BitMap()
        items = entry.selection.items.copy()
        self._unmatch({policy_id}, items)
        self.selections.release(entry.selection)
        users = self._selecting[entry.selector.canonical]
        users.discard(policy_id)
        if not users:
            del self._selecting[entry.selector.canonical]
        return items

    def _read(self, policy_id: PolicyId, policy: AnyPolicy) -> _Entry | None:
        """None also for staged policies of early stages: those govern hosts only, where nothing is counted yet."""
        try:
            entry = _Entry(policy, policy_selector(policy), policy_rank(policy.spec))
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
            self.ordering.policies[policy_id] = entry.rank
            self._programs.put(policy_id, compiled)
        elif policy_id in self._active:
            self._active.discard(policy_id)
            del self.ordering.policies[policy_id]
            self._programs.put(policy_id, None)

    def _governs_any(self, entry: _Entry) -> bool:
        governed = self._subjects.of_stage[entry.rank.stage]
        return entry.selection is not None and entry.selection.items.intersect(governed)

    def _compile(self, policy_id: PolicyId, entry: _Entry) -> CompiledPolicy | None:
        spec = entry.policy.spec
        try:
            return compile_policy(policy_id, entry.rank.tier, spec.ingress, spec.egress, entry.rank.stage)
        except ValueError as error:
            self._problems.note(_key(policy_id), error)
            return None

    def _match(self, policies: Iterable[PolicyId], items: BitMap) -> None:
        for item in items:
            self._matched.setdefault(item, set()).update(policies)

    def _unmatch(self, policies: Iterable[PolicyId], items: BitMap) -> None:
        for item in items:
            self._matched[item].difference_update(policies)
            if not self._matched[item]:
                del self._matched[item]


def _key(policy: PolicyId) -> ResourceKey:
    return ResourceKey(policy.kind, policy.namespace, policy.name)
