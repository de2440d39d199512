"""Active profiles: those that an endpoint of this node lists. A profile that is missing allows nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tortie.api.profile import Profile
from tortie.api.rules import Rule
from tortie.calculation.compile import CompiledPolicy, compile_policy
from tortie.calculation.problems import Problems
from tortie.calculation.programs import Programs
from tortie.desired.policy import PolicyId

KIND = "Profile"
DEFAULT_ALLOW = "projectcalico-default-allow"
"""A profile that every cluster has: it allows everything, and cannot be changed."""


def profile_id(name: str) -> PolicyId:
    """The identity of a profile in the compiled form."""
    return PolicyId(KIND, "", name)


class ActiveProfiles:
    """Counts the endpoints that list each profile, and compiles those listed by any."""

    def __init__(self, programs: Programs, problems: Problems) -> None:
        self._programs = programs
        self._problems = problems
        self._profiles: dict[str, Profile] = {}
        self._users: dict[str, int] = {}
        self._dirty: set[str] = set()

    def put(self, name: str, profile: Profile | None) -> None:
        """Add, replace or, with None, remove a profile."""
        if profile is None:
            self._profiles.pop(name, None)
        else:
            self._profiles[name] = profile
        if name in self._users:
            self._dirty.add(name)

    def acquire(self, names: Iterable[str]) -> None:
        """An endpoint lists these."""
        for name in names:
            self._users[name] = self._users.get(name, 0) + 1
            self._dirty.add(name)

    def release(self, names: Iterable[str]) -> None:
        """An endpoint lists these no longer."""
        for name in names:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name]
            self._dirty.add(name)

    def flush(self) -> None:
        """Compile what became active or changed."""
        dirty, self._dirty = self._dirty, set()
        for name in sorted(dirty):
            self._programs.put(profile_id(name), self._compile(name) if name in self._users else None)

    def missing(self) -> Iterator[str]:
        """Profiles that endpoints list and nobody has written."""
        for name in sorted(self._users.keys() - self._profiles.keys() - {DEFAULT_ALLOW}):
            yield f"profile {name} does not exist; {self._users[name]} endpoints here list it, and it allows nothing"

    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._profiles or self._users or self._dirty)

    def _compile(self, name: str) -> CompiledPolicy:
        if name == DEFAULT_ALLOW:
            everything = (Rule(action="Allow"),)
            return compile_policy(profile_id(name), "", everything, everything)
        profile = self._profiles.get(name)
        if profile is not None:
            try:
                return compile_policy(profile_id(name), "", profile.spec.ingress, profile.spec.egress)
            except ValueError as error:
                self._problems.note(profile.key, error)
        return compile_policy(profile_id(name), "", (), ())
