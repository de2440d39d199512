"""What policies became in the kernel's terms, so that comparing everything does not render everything anew."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from tortie.dataplane.nftables.alternatives import SetForms
from tortie.dataplane.nftables.settings import Settings
from tortie.desired.policy import Direction, Policy, PolicyId, SetId

_Key = tuple[PolicyId, Direction]
_PORTS = 0
"""Stands for a family where a rule names a port set."""


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a rendering asked of the sets, and the answer; `family` 0 stands for the use of a port set."""

    set_id: SetId
    family: int
    answer: bool


class Rendering(msgspec.Struct, frozen=True, gc=False):
    """The tags of a policy's rules in one direction, and all that they depend on."""

    policy: Policy
    settings: Settings
    asked: tuple[Asked, ...]
    tags: tuple[bytes, ...]


class Listener:
    """Set forms that remember what they were asked."""

    def __init__(self, forms: SetForms) -> None:
        self._forms = forms
        self.asked: dict[Asked, None] = {}

    def has_prefixes(self, set_id: SetId, family: int) -> bool:
        """See `SetForms`."""
        answer = self._forms.has_prefixes(set_id, family)
        self.asked[Asked(set_id, family, answer)] = None
        return answer

    def use_ports(self, set_id: SetId) -> None:
        """See `SetForms`."""
        self._forms.use_ports(set_id)
        self.asked[Asked(set_id, _PORTS, False)] = None


class Renderings:
    """Kept from plan to plan. All that a rendering depends on is compared: it can be missing, but not wrong."""

    def __init__(self) -> None:
        self._known: dict[_Key, Rendering] = {}

    def tags(
        self, policy: Policy, direction: Direction, forms: SetForms, settings: Settings
    ) -> tuple[bytes, ...] | None:
        """The tags that rendering would give, the sets asked as it would ask them; None when that is not known."""
        known = self._known.get((policy.id, direction))
        if known is None or known.policy is not policy or known.settings != settings:
            return None
        # Every question is put: being asked, the sets learn that they are wanted.
        answers = [_answer(forms, one) for one in known.asked]
        return known.tags if answers == [one.answer for one in known.asked] else None

    def remember(
        self, policy: Policy, direction: Direction, listener: Listener, settings: Settings, tags: tuple[bytes, ...]
    ) -> None:
        """What rendering gave."""
        self._known[policy.id, direction] = Rendering(policy, settings, tuple(listener.asked), tags)

    def keep(self, policies: Collection[PolicyId]) -> None:
        """Forget all but these."""
        if len(self._known) > 2 * len(policies):
            self._known = {key: one for key, one in self._known.items() if key[0] in policies}


def _answer(forms: SetForms, asked: Asked) -> bool:
    if asked.family == _PORTS:
        forms.use_ports(asked.set_id)
        return False
    return forms.has_prefixes(asked.set_id, asked.family)
