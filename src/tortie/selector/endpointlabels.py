"""Labels that say where something belongs: who makes a workload or a network set of a namespace may not choose them."""

from __future__ import annotations

from collections.abc import Mapping

from tortie.selector.scoping import NAMESPACE, NAMESPACE_PREFIX, SERVICE_ACCOUNT, SERVICE_ACCOUNT_PREFIX

ORCHESTRATOR = "projectcalico.org/orchestrator"
"""Label with what made the workload."""

KUBERNETES = "k8s"
"""Orchestrator of the endpoints that have pods."""

INHERITED = (NAMESPACE_PREFIX, SERVICE_ACCOUNT_PREFIX)
"""How labels begin that only a namespace or service account can give."""

RESERVED = frozenset({NAMESPACE, ORCHESTRATOR, SERVICE_ACCOUNT})
"""Labels that only the place of an endpoint can give."""

LONGEST_SERVICE_ACCOUNT = 62
"""A label value has at most 63 characters; names longer than this get no label, as everywhere in the field."""


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """A copy, without those that can only be inherited."""
    own = dict(labels)
    for label in labels:
        if label.startswith(INHERITED):
            del own[label]
    return own


def account_labels(account: str) -> dict[str, str]:
    """The label that names a service account, unless there is none or its name is too long for a label."""
    return {SERVICE_ACCOUNT: account} if 0 < len(account) <= LONGEST_SERVICE_ACCOUNT else {}


def chosen_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Without any that say where something belongs."""
    return {label: value for label, value in own_labels(labels).items() if label not in RESERVED}


def pod_labels(labels: Mapping[str, str], account: str) -> dict[str, str]:
    """What a pod passes on to its endpoint: the labels that it may choose, and its service account's."""
    return chosen_labels(labels) | account_labels(account)
