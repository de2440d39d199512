"""What rules with action Log make the kernel do: a prefix that says whose rule it is, and a limit on messages."""

from __future__ import annotations

import re

from tortie.desired.policy import Policy
from tortie.desired.settings import LogRate
from tortie.netlink.nftables_expressions import limit, log

LONGEST_PREFIX = 127
"""Characters that the kernel keeps (NF_LOG_PREFIXLEN, linux/netfilter/nf_log.h)."""

SHORT_KINDS = {
    "NetworkPolicy": "np",
    "GlobalNetworkPolicy": "gnp",
    "KubernetesNetworkPolicy": "knp",
    "KubernetesClusterNetworkPolicy": "kcnp",
    "Profile": "pro",
}
"""What `%k` stands for."""

_END = ": "
_INFO = 6
_TOKEN = re.compile(r"%[tknp]")
_GENERATED = {"knp.default.": "KubernetesNetworkPolicy", "kcnp": "KubernetesClusterNetworkPolicy"}


def log_expressions(prefix: str, policy: Policy, rate: LogRate | None, group: int | None) -> bytes:
    """Log, within the rate, to an nflog group or, when it is None, to the kernel's log at level info.

    The prefix may hold `%t` (tier), `%k` (kind, short), `%n` (name) and `%p` (namespace and name).
    """
    within = limit(rate.messages, rate.seconds, rate.burst) if rate else b""
    return within + log(log_text(prefix, policy), group, level=None if group is not None else _INFO)


def log_text(prefix: str, policy: Policy) -> str:
    """The prefix as the kernel has it, cut to the length that it keeps."""
    kind = _kind(policy.id.kind, policy.id.name)
    namespace, name = policy.id.namespace, policy.id.name
    words = {
        "%t": policy.tier or "profile",
        "%k": SHORT_KINDS.get(kind, kind.lower()),
        "%n": name,
        "%p": f"{namespace}/{name}" if namespace else name,
    }
    text = _TOKEN.sub(lambda token: words[token[0]], prefix)
    return text[: LONGEST_PREFIX - len(_END)] + _END


def _kind(kind: str, name: str) -> str:
    """Policies of Kubernetes are known by how their stored names begin."""
    return next((known for prefix, known in _GENERATED.items() if name.startswith(prefix) and "Policy" in kind), kind)
