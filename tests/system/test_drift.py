"""Whatever others change in our table, an agent undoes it, and takes nothing else along."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.timeout(120)]

World = Any
Entry = tuple[str, Mapping[str, Any]]
"""What kind of thing it is, and what `nft -j` says of it."""

TIMES = 25


def entries(world: World) -> list[Entry]:
    shown = json.loads(world.run("nft", "-j", "-s", "-a", "list", "table", "inet", "tortie"))["nftables"]
    return [(kind, body) for one in shown for kind, body in one.items() if kind != "metainfo"]


def contents(world: World) -> list[str]:
    """Everything in the table but its handles and the order of elements."""
    shown = world.run("nft", "-s", "list", "table", "inet", "tortie")
    return sorted(re.split(r"[\s,]+", shown))


def damage(dice: random.Random, entry: Entry, number: int) -> str:
    """What somebody may do to it, as `nft -f` reads it."""
    kind, body = entry
    if kind == "rule":
        place = f"inet tortie {body['chain']} handle {body['handle']}"
        ways = (f"delete rule {place}", f"insert rule {place} accept", f"replace rule {place} counter drop")
    elif kind == "chain":
        name = f"inet tortie {body['name']}"
        ways = (f"flush chain {name}", f"add rule {name} accept", f"add chain inet tortie stray{number}")
        if "hook" in body:
            ways += (f"flush chain {name}\ndelete chain {name}",)
    elif kind in ("set", "map"):
        ways = (f"flush {kind} inet tortie {body['name']}", *taken_out(body))
    else:
        ways = (
            "flush ruleset",
            "flush table inet tortie",
            "delete table inet tortie",
            "add set inet tortie stray { type mark; }",
        )
    return dice.choice(ways)


def taken_out(body: Mapping[str, Any]) -> Iterator[str]:
    """One of its elements, where that is a plain word."""
    for element in body.get("elem", ()):
        key = element[0] if isinstance(element, list) else element
        if isinstance(key, str):
            yield (
                f'delete element inet tortie {body["name"]} {{ "{key}" }}'
                if key.startswith("cali")
                else (f"delete element inet tortie {body['name']} {{ {key} }}")
            )


def test_any_damage_to_our_table_is_undone(settled: World) -> None:
    dice, wanted, pid = random.Random(1), contents(settled), settled.pid()
    undone = []
    for number in range(TIMES):
        what = damage(dice, dice.choice(entries(settled)), number)
        done = settled.lab.exec("h1", ["nft", what])
        if not done.returncode:
            settled.until(lambda: contents(settled) == wanted, f"undone: {what}")
            undone.append(what)
    assert len(undone) > TIMES / 2
    assert settled.pid() == pid
    assert settled.reaches("client", "server")
    assert not settled.reaches("stranger", "server")
