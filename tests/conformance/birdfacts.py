"""Facts of one family read out of a rendered BIRD configuration, in the words of the published cases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tortie.base.addresses import Cidr

Facts = dict[str, Any]

LOWEST_PREFERENCE = 2**31 - 1

_FILTER_STATEMENT = re.compile(r"(?:if (?P<conditions>.*?) then )?(?:\{ (?P<steps>.*) \}|(?P<step>[^{]*;))$")
_NET = re.compile(r"(?P<no>!\()?net ~ \[ (?P<net>\S+?)(?P<inside>\+?) \]\)?$")
_BETWEEN_CONDITIONS = " && "


def facts(text: str, family: int) -> Facts:
    """What the text says of a family that is spoken."""
    return {
        "routerID": _first(r"^router id (\S+);", text),
        "peers": sorted(_peers(text, family), key=lambda peer: peer["name"]),
        "filters": dict(_filters(text, family)),
        "staticRoutes": list(_static_routes(text, family)),
        "exportBlocks": list(_export_blocks(text, family)),
        "exportPools": list(_export_pools(text, family)),
        "communities": list(_communities(text, family)),
        "kernelRoutes": list(_kernel_routes(text, family)),
        "directInterfaces": _required(r"protocol direct \{.* interface (.*); \}", text).split(", "),
        "rejectInterfacesForInternalPeers": re.findall(
            r'if is_internal && defined\(ifname\) && ifname ~ "(.*)" then reject', _body(f"announce{family}", text)
        ),
    }


def _peers(text: str, family: int) -> Iterator[Facts]:
    final = _body(f"announce{family}", text).split()[-1].rstrip(";")
    for name, body in re.findall(r"^protocol bgp (\S+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        if f"    ipv{family} {{" in body:
            yield {key: value for key, value in _peer(name, body, family, final).items() if value is not None}


def _peer(name: str, body: str, family: int, final: str) -> Facts:
    local = _required(r"local (.*);", body)
    neighbor = _required(r"neighbor (.*);", body).split()
    channel = _required(rf"ipv{family} \{{ (.*) \}};", body)
    reflects = "rr client;" in body
    return {
        "name": name,
        "neighbor": neighbor[0],
        "as": int(neighbor[-1]),
        "port": int(neighbor[2]) if neighbor[1] == "port" else None,
        "sourceAddress": _first(r"^([0-9a-f]\S*[.:]\S*)", local),
        "localAS": int(local.split()[-1]),
        "internal": f"announce{family}(true)" in channel,
        "ttlSecurity": "ttl security;" in body,
        "multihop": re.search(r"multihop\b", body) is not None,
        "passive": "passive;" in body or None,
        "rrClient": reflects or None,
        "rrClusterID": _first(r"rr cluster id (\S+);", body) if reflects else None,
        "password": _first(r'password "(.*)";', body),
        "nextHop": _first(r"next hop (\S+);", channel),
        "gracefulRestartTime": _number(r"graceful restart time (\d+);", body),
        "keepalive": _number(r"keepalive time (\d+);", body),
        "allowLocalAS": _number(r"allow local as (\d+);", body),
        "importFilters": re.findall(r"'bgp_([^']*)_importFilterV\d'", channel),
        "exportFilters": re.findall(r"'bgp_([^']*)_exportFilterV\d'", channel),
        "importFinal": _first(r"import filter \{.*?(\w+); \};", channel),
        "exportFinal": final,
    }


def _filters(text: str, family: int) -> Iterator[tuple[str, list[Facts]]]:
    pattern = rf"^function '(bgp_\S+V{family})'\(bool is_internal\) \{{\n(.*?)^\}}"
    for name, body in re.findall(pattern, text, re.MULTILINE | re.DOTALL):
        yield name, [_rule(line.strip()) for line in body.splitlines()]


def _rule(line: str) -> Facts:
    match = _FILTER_STATEMENT.match(line)
    assert match is not None, line
    conditions = (
        (match["conditions"] or "").replace("defined(ifname) && ", "").replace("defined(bgp_local_pref) && ", "")
    )
    steps = (match["steps"] or match["step"]).rstrip(";").split("; ")
    return {
        "match": [_condition(text) for text in conditions.split(_BETWEEN_CONDITIONS)] if conditions else [],
        "actions": [_action(text) for text in steps],
    }


def _condition(text: str) -> Facts:
    if net := _NET.match(text):
        inside = bool(net["inside"])
        operator = {(True, False): "In", (True, True): "NotIn", (False, False): "Equal", (False, True): "NotEqual"}
        return {"net": net["net"], "operator": operator[inside, bool(net["no"])]}
    if text in ("is_internal", "!is_internal"):
        return {"peerType": "external" if text.startswith("!") else "internal"}
    if text == "source = RTS_BGP":
        return {"source": "RemotePeers"}
    if found := _first(r'ifname ~ "(.*)"', text):
        return {"interface": found}
    if found := _first(r"\((.*)\) ~ bgp_(?:large_)?community", text):
        return {"community": found.replace(",", ":")}
    if found := _first(r"bgp_path ~ \[= (.*) \* =\]", text):
        return {"asPathPrefix": [int(number) for number in found.split()]}
    return {"priority": LOWEST_PREFERENCE - int(_required(r"bgp_local_pref = (\d+)", text))}


def _action(text: str) -> Facts | str:
    if text in ("accept", "reject"):
        return text
    if found := _first(r"bgp_(?:large_)?community\.add\(\((.*)\)\)", text):
        return {"addCommunity": found.replace(",", ":")}
    if found := _first(r"bgp_path\.prepend\((\d+)\)", text):
        return {"prependAS": int(found)}
    return {"setPriority": LOWEST_PREFERENCE - int(_required(r"bgp_local_pref = (\d+)", text))}


def _static_routes(text: str, family: int) -> Iterator[Facts]:
    for body in re.findall(rf"^protocol static \w+{family} \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL):
        for net, target in re.findall(r"route (\S+) (.*);", body):
            yield {"net": net, "blackhole": True} if target == "blackhole" else {"net": net, "via": target.split()[1]}


def _export_blocks(text: str, family: int) -> Iterator[Facts]:
    for net in re.findall(r"if net = (\S+) then accept;", _body(f"announce{family}", text)):
        yield {"net": net, "actions": ["accept"]}


def _export_pools(text: str, family: int) -> Iterator[Facts]:
    body = _body(f"announce{family}", text)
    for net, rest in re.findall(r"if net ~ \[ (\S+)\+ \](.*);", body):
        if rest == " then reject" or "source = RTS_BGP ||" in rest:
            yield {"net": net, "action": rest.split()[-1]}


def _communities(text: str, family: int) -> Iterator[Facts]:
    for net, steps in re.findall(r"if net ~ \[ (\S+)\+ \] then \{ (.*) \}", _body(f"announce{family}", text)):
        found = re.findall(r"add\(\(([0-9,]*)\)\)", steps)
        yield {"net": net, "communities": [one.replace(",", ":") for one in found]}


def _kernel_routes(text: str, family: int) -> Iterator[Facts]:
    body = _body(f"to_kernel{family}", text)
    for net, action in re.findall(r"if net ~ \[ (\S+)\+ \] then (\w+);", body):
        yield {"net": net, "actions": [action]}
    yield {"final": body.split()[-1].rstrip(";")}


def _body(name: str, text: str) -> str:
    return _required(rf"^(?:function|filter) {name}\b[^\n]*\{{\n((?:.*\n)*?)\}}", text)


def _required(pattern: str, text: str) -> str:
    found = _first(pattern, text)
    assert found is not None, pattern
    return found


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else None


def _number(pattern: str, text: str) -> int | None:
    found = _first(pattern, text)
    return None if found is None else int(found)


def same_net(text: str) -> str:
    """One spelling for a prefix."""
    return str(Cidr.parse(text))
