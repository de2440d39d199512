"""Which endpoints the selectors of a policy or rule mean, given where the policy stands.

The scoped selector is built from trees, not texts, with two consequences where a reference that
rewrites texts has none: a value that reads `all()` is left alone, and no name or value can break out
of its quotes. What such rewriting does to the function `all()` is kept: see `policy_selector`.

Labels: an endpoint carries its namespace and service account as labels of its own, and inherits the
labels of both with a prefix.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tortie.api.policy import GlobalNetworkPolicy, NetworkPolicy
from tortie.api.rules import EntityRule, ServiceAccountMatch
from tortie.selector.ast import All, And, Equal, Global, Has, In, Node, Not, Or, negation
from tortie.selector.parser import parse
from tortie.selector.selector import Selector

NAMESPACE = "projectcalico.org/namespace"
"""Label with the name of an endpoint's namespace; host endpoints and global network sets have none."""

SERVICE_ACCOUNT = "projectcalico.org/serviceaccount"
"""Label with the name of an endpoint's service account."""

NODE = "tortie/node"
"""Label with the name of a node, which only nodes have: see `means_nodes`."""

NAMESPACE_PREFIX = "pcns."
"""Before the labels that an endpoint inherits from its namespace."""

SERVICE_ACCOUNT_PREFIX = "pcsa."
"""Before the labels that an endpoint inherits from its service account."""

_IN_A_NAMESPACE = Has(NAMESPACE)


class EntitySelectors(msgspec.Struct, frozen=True, gc=False):
    """What a side of a rule must be, and must not be; None where nothing is asked.

    `negative` stands alone only: something unknown to the cluster passes it. When both are asked,
    `positive` says both, since nothing unknown passes the positive part.
    """

    positive: Selector | None = None
    negative: Selector | None = None


def policy_selector(policy: NetworkPolicy | GlobalNetworkPolicy) -> Selector:
    """The endpoints that a policy applies to.

    In a global policy with a namespace selector every `all()` means "in some namespace", also one in
    the policy's own selector; likewise "with a service account" for a service account selector.

    Raises:
        InvalidSelector: one of the policy's selectors cannot be read.
    """
    if isinstance(policy, GlobalNetworkPolicy):
        return Selector.of(_global_scope(policy))
    spec = policy.spec
    node: Node = Equal(NAMESPACE, policy.metadata.namespace)
    if not _blank(spec.selector):
        node = And((parse(spec.selector).root, node))
    if not _blank(spec.service_account_selector):
        node = And((node, _prefixed(spec.service_account_selector, SERVICE_ACCOUNT_PREFIX)))
    return Selector.of(node)


def entity_selectors(entity: EntityRule, namespace: str) -> EntitySelectors:
    """What one side of a rule asks of endpoints and network sets, in a policy of a namespace.

    A policy of a namespace means its own namespace as soon as it asks anything of labels or service
    accounts, even if only what they must not be; but what must not be is not confined to it.

    Args:
        namespace: of the policy; empty for a global policy or a profile.

    Raises:
        InvalidSelector: one of the selectors cannot be read.
    """
    negative = None if _blank(entity.not_selector) else parse(entity.not_selector).root
    positive = _positive(entity, namespace, namespaced=negative is not None)
    if positive is None:
        return EntitySelectors(negative=None if negative is None else Selector.of(negative))
    if negative is not None:
        positive = And((positive, negation(negative)))
    return EntitySelectors(positive=Selector.of(positive))


def means_nodes(selector: Selector) -> bool:
    """Whether a selector of a rule means nodes, which it does by asking for their label; all others never do.

    So no policy that was written for endpoints and network sets can mean a node by accident, not even
    by what it excludes.
    """
    asked = selector.restrictions().get(NODE)
    return asked is not None and asked.present


def _global_scope(policy: GlobalNetworkPolicy) -> Node:
    spec = policy.spec
    node = None if _blank(spec.selector) else parse(spec.selector).root
    if not _blank(spec.namespace_selector):
        node = _joined(node, _prefixed(spec.namespace_selector, NAMESPACE_PREFIX))
        node = _with_all_meaning(node, NAMESPACE)
    if not _blank(spec.service_account_selector):
        node = _joined(node, _prefixed(spec.service_account_selector, SERVICE_ACCOUNT_PREFIX))
        node = _with_all_meaning(node, SERVICE_ACCOUNT)
    return node or All()


def _positive(entity: EntityRule, namespace: str, namespaced: bool) -> Node | None:
    node = _service_accounts(entity.service_accounts)
    if not _blank(entity.selector):
        node = _joined(node, parse(entity.selector).root)
    if not _blank(entity.namespace_selector):
        return _joined(_namespaces(entity.namespace_selector), node)
    if namespace and (node is not None or namespaced):
        return _joined(Equal(NAMESPACE, namespace), node)
    return node


def _namespaces(text: str) -> Node:
    def meaning(node: Node) -> Node:
        if isinstance(node, Global):
            return Not(_IN_A_NAMESPACE)
        return _IN_A_NAMESPACE if isinstance(node, All) else node

    return _rewritten(_prefixed(text, NAMESPACE_PREFIX), meaning)


def _service_accounts(match: ServiceAccountMatch | None) -> Node | None:
    if match is None:
        return None
    node = None if _blank(match.selector) else _prefixed(match.selector, SERVICE_ACCOUNT_PREFIX)
    if not match.names:
        return node
    return _joined(node, In(SERVICE_ACCOUNT, frozenset(match.names)))


def _blank(text: str) -> bool:
    return not text.strip(" \t")


def _prefixed(text: str, prefix: str) -> Node:
    return parse(text).root.prefixed(prefix)


def _joined(first: Node | None, second: Node | None) -> Node | None:
    """Both, in this order, each kept together as if in parentheses."""
    if first is None or second is None:
        return first if second is None else second
    return And((first, second))


def _with_all_meaning(node: Node | None, label: str) -> Node | None:
    def meaning(leaf: Node) -> Node:
        return Has(label) if type(leaf) is All else leaf

    return None if node is None else _rewritten(node, meaning)


def _rewritten(node: Node, meaning: Callable[[Node], Node]) -> Node:
    """The tree with every condition replaced by what it means."""
    match node:
        case And(operands):
            return And(tuple([_rewritten(operand, meaning) for operand in operands]))
        case Or(operands):
            return Or(tuple([_rewritten(operand, meaning) for operand in operands]))
        case Not(operand):
            return negation(_rewritten(operand, meaning))
    return meaning(node)
