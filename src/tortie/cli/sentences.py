"""Rules of policies in words, for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tortie.api.rules import ICMP, EntityRule, HTTPMatch, Protocol, Rule


def rule_sentence(rule: Rule) -> str:
    """One rule, such as `Allow TCP from endpoints with role == 'web' to port 5432`."""
    source, destination = _side(rule.source), _side(rule.destination)
    parts = [rule.action, _what(rule)]
    parts += [f"from {source}"] if source else []
    parts += [f"to {destination}"] if destination else []
    parts += [f"as HTTP {_http(rule.http)}"] if rule.http else []
    return " ".join(part for part in parts if part)


def numbered(rules: Sequence[Rule]) -> list[str]:
    """Rules in the order in which they are tried, counted from 1."""
    width = len(str(len(rules)))
    return [f"{number:>{width}}. {rule_sentence(rule)}" for number, rule in enumerate(rules, 1)]


def _what(rule: Rule) -> str:
    """The protocol, or everything when nothing at all is matched."""
    family = f"IPv{rule.ip_version}" if rule.ip_version else ""
    named = _protocol(rule.protocol) if rule.protocol is not None else ""
    excepted = [f"but {_protocol(rule.not_protocol)}"] if rule.not_protocol is not None else []
    excepted += [f"but ICMP {_icmp(rule.not_icmp)}"] if rule.not_icmp else []
    known = " ".join(filter(None, [family, named, _icmp(rule.icmp) if rule.icmp else ""]))
    if excepted:
        return f"{known or 'everything'} {' '.join(excepted)}"
    return known or "everything"


def _protocol(protocol: Protocol) -> str:
    return protocol if isinstance(protocol, str) else f"protocol {protocol}"


def _icmp(icmp: ICMP) -> str:
    return f"type {icmp.type}" + (f" code {icmp.code}" if icmp.code is not None else "")


def _side(side: EntityRule) -> str:
    """One side of a rule; all that it says must hold."""
    who = " and ".join(_who(side))
    ports = " and ".join(_ports(side))
    return f"{who} on {ports}" if who and ports else who or ports


def _who(side: EntityRule) -> Iterator[str]:
    if side.selector or side.namespace_selector or side.not_selector:
        yield _endpoints(side)
    if side.service_accounts:
        accounts = side.service_accounts
        yield f"service accounts {', '.join(accounts.names)}" if accounts.names else "service accounts"
        if accounts.selector:
            yield f"with service account labels {accounts.selector}"
    if side.services:
        named = f"{side.services.namespace}/{side.services.name}" if side.services.namespace else side.services.name
        yield f"service {named}"
    if side.nets:
        yield ", ".join(side.nets)
    if side.not_nets:
        yield f"addresses outside {', '.join(side.not_nets)}"


def _endpoints(side: EntityRule) -> str:
    text = "endpoints"
    if side.selector:
        text += _with(side.selector)
    if side.not_selector:
        text += f" without {side.not_selector}"
    if side.namespace_selector == "global()":
        return f"{text} of no namespace"
    return text + _in_namespaces(side.namespace_selector)


def endpoints_of(selector: str, namespace: str, namespace_selector: str = "", accounts: str = "") -> str:
    """The endpoints that a policy applies to."""
    text = f"endpoints{_with(selector)}" if selector and selector != "all()" else "all endpoints"
    if accounts:
        text += f" with service account labels {accounts}"
    return text + (f" of namespace {namespace}" if namespace else _in_namespaces(namespace_selector))


def _with(selector: str) -> str:
    return "" if selector == "all()" else f" with {selector}"


def _in_namespaces(selector: str) -> str:
    if not selector:
        return ""
    return " of any namespace" if selector == "all()" else f" of namespaces with {selector}"


def _ports(side: EntityRule) -> Iterator[str]:
    if side.ports:
        yield f"port {_listed(side.ports)}" if len(side.ports) == 1 else f"ports {_listed(side.ports)}"
    if side.not_ports:
        yield f"ports other than {_listed(side.not_ports)}"


def _listed(ports: Sequence[int | str]) -> str:
    return ", ".join(str(port).replace(":", "-") for port in ports)


def _http(http: HTTPMatch) -> str:
    paths = [path.exact or f"{path.prefix}*" for path in http.paths]
    return " ".join(part for part in (", ".join(http.methods), ", ".join(paths)) if part)
