"""How calicoctl tells that resources were written: the sentences that scripts look for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from tortie.api.resource import ResourceKey
from tortie.base.errors import (
    AlreadyExists,
    InvalidResource,
    NotFound,
    NotPermitted,
    OutcomeUnknown,
    Problem,
    StaleRevision,
    TortieError,
    Unavailable,
)
from tortie.cli.calicoctl import FAILURE
from tortie.cli.output import complain, say
from tortie.cli.personality import UNAUTHORIZED, identifier
from tortie.cli.report import NOTES, Reporter, Showing, show_resources, unknown_outcome
from tortie.cli.writing import Outcomes, Written

if TYPE_CHECKING:
    from tortie.cli.manifests import Manifests

PAST = {
    "apply": "applied",
    "create": "created",
    "replace": "replaced",
    "validate": "validated",
    "delete": "deleted",
    "patch": "patched",
}

GENERATED = "knp.default."
"""What names of policies that are kept for Kubernetes begin with."""


class CalicoctlReporter(Reporter):
    """How calicoctl speaks."""

    careful = False
    merges_json = True

    def forbids(self, key: ResourceKey) -> str:
        """As calicoctl refuses, whatever the datastore would take."""
        if key.kind == "ClusterInformation":
            return "it is read-only"
        if key.kind == "NetworkPolicy" and key.name.startswith(GENERATED):
            return "kubernetes network policies must be managed through the kubernetes API"
        return ""

    def invalid(self, showing: Showing, problems: Sequence[Problem]) -> None:
        """What is wrong with the input."""
        complain("failed to execute command: " + "\n".join(map(str, problems)))

    def empty(self, showing: Showing, where: str, *, allowed: bool) -> NoReturn:
        """There is nothing to do, which ends the command."""
        if allowed:
            say("No resources specified")
            sys.exit(0)
        complain(f"No resources specified in {where}")
        sys.exit(FAILURE)

    def told(self, showing: Showing, written: Written) -> None:
        """Nothing: what counts is the end."""

    def checked(self, showing: Showing, manifests: Manifests) -> int:
        """How many are valid."""
        valid = tuple(Written(resource.key, "valid", resource) for resource in manifests.resources)
        return self.finish(showing, Outcomes(valid), manifests.problems)

    def finish(self, showing: Showing, outcomes: Outcomes, problems: Sequence[Problem] = ()) -> int:
        """The sentences that scripts look for."""
        show_resources(showing, outcomes)
        if problems:
            return FAILURE
        if showing.values:
            return _finish_labels(showing, outcomes)
        if outcomes.total == 0:
            say("No resources specified")
            return 0
        report = _report_one_by_one if showing.verb in ("delete", "patch") else _report_together
        report(showing, outcomes)
        return FAILURE if outcomes.refused or outcomes.left else 0


def _report_together(showing: Showing, outcomes: Outcomes) -> None:
    verb, note = showing.verb, NOTES[showing.dry_run]
    kind, written = _single_kind(outcomes), len(outcomes.written)
    quoted = f" '{kind}'" if kind else ""
    errors = _errors(verb, outcomes)
    if not errors:
        say(f"Successfully {PAST[verb]} {written}{quoted} resource(s){note}")
    elif written:
        say(f"Partial success: {PAST[verb]} the first {written} out of {outcomes.total}{quoted} resources{note}:")
        complain(f"hit error: [{' '.join(errors)}]")
    elif outcomes.total == 1:
        complain(f"failed to {verb}{quoted} resource: [{' '.join(errors)}]")
    else:
        complain(f"failed to {verb} any{quoted} resources: [{' '.join(errors)}]")


def _report_one_by_one(showing: Showing, outcomes: Outcomes) -> None:
    verb, note = showing.verb, NOTES[showing.dry_run]
    kind, written = _single_kind(outcomes), len(outcomes.written)
    quoted = f" '{kind}'" if kind else ""
    if written:
        say(f"Successfully {PAST[verb]} {written}{quoted} resource" + ("(s)" if verb == "delete" else "") + note)
    for error in _errors(verb, outcomes):
        complain(f"Failed to {verb}{quoted} resource: {error}")


def _finish_labels(showing: Showing, outcomes: Outcomes) -> int:
    for refused in outcomes.refused:
        for problem in refused.problems:
            complain(_label_error(showing, problem))
    for written in outcomes.written:
        before = written.before.metadata.labels if written.before else {}
        for key, value in showing.values.items():
            done = "updated" if key in before else "set"
            preposition = "on" if value is not None else "from"
            say(f"Successfully {done if value is not None else 'removed'} label {key} {preposition} {showing.asked}")
    return FAILURE if outcomes.refused else 0


def _label_error(showing: Showing, problem: Problem) -> str:
    key = problem.path.removeprefix("metadata.labels[").removesuffix("]")
    if key not in showing.values:
        return f"failed to update {showing.asked}, label not changed: {problem}"
    if showing.values[key] is None:
        return f"cannot remove label of {showing.asked}, key {key} does not exist"
    if not problem.problem.startswith("is already present"):
        return f"failed to update {showing.asked}, label not changed: {problem}"
    hint = "please use '--overwrite' to set a new value"
    return f"failed to update label of {showing.asked}, key {key} is already present. {hint}"


def _single_kind(outcomes: Outcomes) -> str:
    keys = [*(one.key for one in outcomes.written), *(one.key for one in outcomes.refused), *outcomes.left]
    kinds = {key.kind for key in keys}
    return kinds.pop() if len(kinds) == 1 else ""


_SENTENCES: dict[type[TortieError], str] = {
    AlreadyExists: "resource already exists: {}",
    NotFound: "resource does not exist: {}",
    StaleRevision: "update conflict: {}",
}


def _errors(verb: str, outcomes: Outcomes) -> list[str]:
    not_tried = [f"{identifier(key)} was not tried" for key in outcomes.left]
    return [_error(verb, refused.key, refused.error, refused.problems) for refused in outcomes.refused] + not_tried


def _error(verb: str, key: ResourceKey, error: TortieError, problems: Sequence[Problem]) -> str:
    sentence = _SENTENCES.get(type(error))
    if sentence is not None:
        return sentence.format(identifier(key))
    if isinstance(error, InvalidResource):
        return "; ".join(map(str, problems))
    if isinstance(error, OutcomeUnknown):
        return f"{unknown_outcome(key, 'deleted' if verb == 'delete' else 'written')}: {error}"
    if isinstance(error, Unavailable):
        return f"{UNAUTHORIZED if isinstance(error, NotPermitted) else ''}{error}"
    reasons = "; ".join(problem.problem for problem in problems)
    return f"operation {verb} is not supported on {identifier(key)}: {reasons}"
