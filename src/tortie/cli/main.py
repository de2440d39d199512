"""The tortie command: which words there are, and which module carries each out."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tortie import __version__
from tortie.cli.everywhere import before_options
from tortie.cli.lazy import Group
from tortie.cli.streams import run_guarded

COMMANDS = {
    "get": "tortie.cli.get:get",
    "describe": "tortie.cli.describe:describe",
    "explain": "tortie.cli.explaining:explain",
    "reach": "tortie.cli.reach:reach",
    "wait": "tortie.cli.wait:wait",
    "apply": "tortie.cli.apply:apply",
    "create": "tortie.cli.apply:create",
    "replace": "tortie.cli.apply:replace",
    "delete": "tortie.cli.delete:delete",
    "patch": "tortie.cli.patch:patch",
    "edit": "tortie.cli.edit:edit",
    "label": "tortie.cli.label:label",
    "annotate": "tortie.cli.label:annotate",
    "diff": "tortie.cli.diff:diff",
    "history": "tortie.cli.history:history",
    "rollback": "tortie.cli.history:rollback",
    "confirm": "tortie.cli.trying:confirm",
    "verify": "tortie.cli.verifying:verify",
    "test": "tortie.cli.verifying:test",
    "validate": "tortie.cli.validate:validate",
    "convert": "tortie.cli.validate:convert",
    "ipam": "tortie.cli.ipam:commands",
    "controllers": "tortie.cli.controllers:controllers",
    "datastore": "tortie.cli.datastore:commands",
    "policy": "tortie.cli.policy:commands",
    "monitor": "tortie.cli.monitor:monitor",
    "doctor": "tortie.cli.doctor:doctor",
    "node": "tortie.cli.node:commands",
    "bgp": "tortie.cli.bgp:commands",
    "cluster": "tortie.cli.cluster:commands",
    "lab": "tortie.cli.lab:commands",
    "completion": "tortie.cli.completion:completion",
    "version": "tortie.cli.version:version",
    "calicoctl": "tortie.cli.calicoctl:calicoctl",
}
"""Word to module and function; a module is loaded when its word is used."""

SUMMARIES = {
    "get": "Show resources.",
    "describe": "Tell people what a resource is, and what has to do with it.",
    "explain": "Tell what a kind or field is, or why traffic gets through or does not.",
    "reach": "Show who reaches whom, and what is open to the outside.",
    "wait": "Wait until resources are as they should be.",
    "apply": "Create resources, or change them to what files say.",
    "create": "Create resources that do not exist yet.",
    "replace": "Change resources that exist to what files say.",
    "delete": "Delete resources.",
    "patch": "Change some fields of resources.",
    "edit": "Change resources in an editor.",
    "label": "Set labels, or remove them.",
    "annotate": "Set annotations, or remove them.",
    "diff": "Show what apply would change.",
    "history": "Show who changed what, when and why.",
    "rollback": "Take a change back, to the byte.",
    "confirm": "Let a change hold that was applied with --confirm, or take it back.",
    "verify": "Prove what files state of the cluster's policy, or show a packet against it.",
    "test": "Test policies without a cluster.",
    "validate": "Check files without a datastore.",
    "convert": "Show Kubernetes objects and old spellings as they would be stored.",
    "ipam": "Addresses: who has which, and whether that is right.",
    "controllers": "Look after the cluster as a whole until told to end.",
    "datastore": "The datastore as a whole.",
    "policy": "What policies do to packets on this host.",
    "monitor": "Show which rule allows or denies which packet, as it happens, until Ctrl-C.",
    "doctor": "Look for what is wrong on this host, and tell what would mend it.",
    "node": "This host's node.",
    "bgp": "Neighbours and routes of this host's BGP daemon.",
    "cluster": "The cluster as a whole.",
    "lab": "Whole clusters in network namespaces on this machine.",
    "completion": "Print the script that makes a shell complete words.",
    "version": "Show the version.",
    "calicoctl": "The same commands as calicoctl's users know them.",
}
"""What the list of commands says of each, so that it loads none of them."""

PERSONALITIES = frozenset({"calicoctl", "kubectl-calico"})
"""Names of links to this program by which it is called as calicoctl."""


@click.group(
    cls=Group,
    commands_by_name=COMMANDS,
    summaries=SUMMARIES,
    params=before_options(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s", help="Show the version, and end.")
def tortie() -> None:
    """Routed networking and label-based security for containers, virtual machines and hosts."""


def main() -> None:
    """Entry point; a program called calicoctl speaks as calicoctl does."""
    name = Path(sys.argv[0]).name
    if name in PERSONALITIES:
        from tortie.cli.calicoctl import calicoctl  # loaded only for those who want it

        run_guarded(lambda: calicoctl(prog_name=name.replace("kubectl-", "kubectl ")))
    run_guarded(lambda: tortie(prog_name="tortie"))
