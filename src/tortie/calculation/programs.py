"""Compiled policies and profiles in use, the sets they refer to, and what of them was last told."""

from __future__ import annotations

from tortie.calculation.compile import CompiledPolicy
from tortie.calculation.ipsets import IPSets
from tortie.desired.policy import Policy, PolicyId


class Programs:
    """Everything that the endpoints of this node refer to."""

    def __init__(self, sets: IPSets) -> None:
        self._sets = sets
        self._wanted: dict[PolicyId, CompiledPolicy] = {}
        self._told: dict[PolicyId, Policy] = {}
        self._dirty: set[PolicyId] = set()

    def put(self, policy_id: PolicyId, compiled: CompiledPolicy | None) -> None:
        """Add, replace or, with None, remove one."""
        old = self._wanted.pop(policy_id, None)
        if compiled is not None:
            self._wanted[policy_id] = compiled
            self._sets.acquire(compiled.sets)
        if old is not None:
            self._sets.release(old.sets)
        self._dirty.add(policy_id)

    def flush(self) -> tuple[list[Policy], list[PolicyId]]:
        """What is new or different since the last flush, and what is gone."""
        changed: list[Policy] = []
        removed: list[PolicyId] = []
        dirty, self._dirty = sorted(self._dirty), set()
        for policy_id in dirty:
            compiled = self._wanted.get(policy_id)
            told = self._told.get(policy_id)
            if compiled is not None and compiled.policy != told:
                self._told[policy_id] = compiled.policy
                changed.append(compiled.policy)
            elif compiled is None and told is not None:
                del self._told[policy_id]
                removed.append(policy_id)
        return changed, removed

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._wanted or self._told or self._dirty)
