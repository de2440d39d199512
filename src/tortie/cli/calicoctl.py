"""`calicoctl`: the same commands in the words, options and exit codes that calicoctl's users and scripts know."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import click

from tortie import __version__
from tortie.api.resource import ResourceKey
from tortie.base.errors import AlreadyExists, InvalidResource, NotFound, Problem, StaleRevision, TortieError
from tortie.cli.lazy import Group
from tortie.cli.output import complain, say
from tortie.cli.report import Reporter, Showing, show_resources
from tortie.cli.writing import Outcomes, Written

COMMANDS = {
    "create": "tortie.cli.apply:create",
    "apply": "tortie.cli.apply:apply",
    "replace": "tortie.cli.apply:replace",
    "delete": "tortie.cli.delete:delete",
    "get": "tortie.cli.get:get",
    "patch": "tortie.cli.patch:patch",
    "label": "tortie.cli.label:label",
    "validate": "tortie.cli.validate:validate",
    "convert": "tortie.cli.validate:convert",
    "ipam": "tortie.cli.ipam:commands",
    "node": "tortie.cli.node:commands",
    "datastore": "tortie.cli.datastore:commands",
    "cluster": "tortie.cli.cluster:commands",
    "version": "tortie.cli.version:version",
}
"""Word to module and function."""

PAST = {
    "apply": "applied",
    "create": "created",
    "replace": "replaced",
    "validate": "validated",
    "delete": "deleted",
    "patch": "patched",
}

LOG_LEVELS = ("panic", "fatal", "error", "warn", "info", "debug")

SPELLINGS = {("get", "all_namespaces"): ("-a",)}
"""Command and parameter to further spellings of the option."""

GENERATED = "knp.default."
"""What names of policies that are kept for Kubernetes begin with."""

FAILURE = 1
"""The one exit code for everything that is not right."""


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
        report(showing.verb, outcomes)
        return FAILURE if outcomes.refused or outcomes.left else 0


class Personality(Group):
    """Commands with the options that all of calicoctl's have, and its exit codes."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, as calicoctl's users call it."""
        command = super().get_command(ctx, cmd_name)
        return None if command is None else spelt(command)

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """As click does; a call that is wrong ends as every failure does."""
        with _one_code():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does, in calicoctl's words."""
        ctx.obj = CalicoctlReporter()
        with _one_code():
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_code() -> Iterator[None]:
    """Every failure ends with the same code."""
    try:
        yield
    except click.ClickException as error:
        error.show()
        sys.exit(FAILURE)
    except SystemExit as error:
        sys.exit(FAILURE if error.code else 0)


def global_options() -> Iterator[click.Option]:
    """Options that stand before or after any word, and mean nothing here."""
    yield click.Option(
        ["-l", "--log-level"], type=click.Choice(LOG_LEVELS), help="Accepted.", expose_value=False, metavar="LEVEL"
    )
    yield click.Option(
        ["--context"], help="Accepted: there is one cluster, the one of the datastore.", expose_value=False
    )
    yield click.Option(
        ["--allow-version-mismatch"], is_flag=True, help="Accepted: no version is refused.", expose_value=False
    )


def spelt(command: click.Command) -> click.Command:
    """A command, and those under it, with calicoctl's options in place of ours of the same letter."""
    command = copy.copy(command)
    added = list(global_options())
    taken = {spelling for option in added for spelling in option.opts}
    command.params = [
        _freed(param, taken, SPELLINGS.get((command.name or "", param.name or ""), ())) for param in command.params
    ]
    command.params += added
    if isinstance(command, click.Group):
        command.commands = {name: spelt(inner) for name, inner in command.commands.items()}
    return command


def _freed(param: click.Parameter, taken: set[str], more: Sequence[str]) -> click.Parameter:
    if not isinstance(param, click.Option):
        return param
    param = copy.copy(param)
    param.opts = [spelling for spelling in param.opts if spelling not in taken] + list(more)
    if param.callback is not None and param.name == "output":
        param.callback = _with_tables(param.callback)
    return param


def _with_tables(callback: Callable[..., Any]) -> Callable[..., Any]:
    """The callback of `get -o`, for which calicoctl has tables of its own."""

    def read(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        # Tables are for get alone.
        from tortie.cli.calicoctl_tables import table_option

        return table_option(value, lambda: callback(context, parameter, value))

    return read


@click.group(
    cls=Personality,
    commands_by_name=COMMANDS,
    params=list(global_options()),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s", help="Show the version, and end.")
def calicoctl() -> None:
    """Manage network and security policy, endpoints, addresses and nodes, as calicoctl does."""


def _report_together(verb: str, outcomes: Outcomes) -> None:
    kind, written = _single_kind(outcomes), len(outcomes.written)
    quoted = f" '{kind}'" if kind else ""
    errors = _errors(verb, outcomes)
    if not errors:
        say(f"Successfully {PAST[verb]} {written}{quoted} resource(s)")
    elif written:
        say(f"Partial success: {PAST[verb]} the first {written} out of {outcomes.total}{quoted} resources:")
        complain(f"hit error: [{' '.join(errors)}]")
    elif outcomes.total == 1:
        complain(f"failed to {verb}{quoted} resource: [{' '.join(errors)}]")
    else:
        complain(f"failed to {verb} any{quoted} resources: [{' '.join(errors)}]")


def _report_one_by_one(verb: str, outcomes: Outcomes) -> None:
    kind, written = _single_kind(outcomes), len(outcomes.written)
    quoted = f" '{kind}'" if kind else ""
    if written:
        say(f"Successfully {PAST[verb]} {written}{quoted} resource" + ("(s)" if verb == "delete" else ""))
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
    not_tried = [f"{_identifier(key)} was not tried" for key in outcomes.left]
    return [_error(verb, refused.key, refused.error, refused.problems) for refused in outcomes.refused] + not_tried


def _error(verb: str, key: ResourceKey, error: TortieError, problems: Sequence[Problem]) -> str:
    sentence = _SENTENCES.get(type(error))
    if sentence is not None:
        return sentence.format(_identifier(key))
    if isinstance(error, InvalidResource):
        return "; ".join(map(str, problems))
    reasons = "; ".join(problem.problem for problem in problems)
    return f"operation {verb} is not supported on {_identifier(key)}: {reasons}"


def _identifier(key: ResourceKey) -> str:
    return f"{key.kind}({key.namespace}/{key.name})" if key.namespace else f"{key.kind}({key.name})"
