"""`make demo` and `make demo-down`: arguments are `up` or `down`, and a name for the lab other than `demo`."""

from __future__ import annotations

import os
import sys
import time

from tortie.base.errors import NotFound, TortieError
from tortie.lab.assembly import assemble, find
from tortie.lab.demo.scene import NAME, topology
from tortie.lab.demo.steps import Demonstration
from tortie.lab.lab import Lab
from tortie.lab.services import AgentServices
from tortie.lab.sessions import wait_established

HINTS = """
The demonstration stays up. Five things to try:

  export PATH=$PWD/.venv/bin:$PATH TORTIE_DATASTORE={datastore}
  tortie lab probe --name demo --port 8080          who reaches whom, with real packets
  tortie get networkpolicy -A -o wide               the policies in force
  tortie lab exec --name demo h1 nft list table inet tortie      what the kernel was told
  tortie lab move --name demo web-1 h3              move a workload, and probe again
  tortie delete -f examples/three-tier/shop.yaml -f examples/three-tier/default-deny.yaml
                                                    open it up, but for the database; apply them to close it again

To take it down: make demo-down
"""


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def up(name: str = NAME) -> int:
    """Raise the lab, run the steps, leave it standing. One that stands is taken down first."""
    if os.geteuid() != 0:
        say("The demonstration makes network namespaces: run it as root.")
        return 1
    down(name)
    began = time.monotonic()
    description = topology(name)
    lab = assemble(description)
    try:
        lab.up()
        wait_established(lab)
        took = time.monotonic() - began
        say(f"Three hosts and seven workloads are up, and BGP sessions established, after {took:.1f} s.")
        Demonstration(lab, AgentServices(description), say).run()
    except TortieError as error:
        say(f"\n{error}\nLogs are in {description.run_directory}; to take the demonstration down: make demo-down")
        return 1
    finally:
        lab.close()
    say(f"\nAll of it took {time.monotonic() - began:.0f} s.")
    say(HINTS.format(datastore=description.datastore))
    return 0


def down(name: str = NAME) -> int:
    """Remove every trace."""
    lab: Lab
    try:
        lab = find(name)
    except NotFound:
        lab = assemble(topology(name))
    lab.down()
    say(f"The demonstration {name!r} is down: no namespace, process or file of it is left.")
    return 0


if __name__ == "__main__":
    sys.exit({"up": up, "down": down}[sys.argv[1]](*sys.argv[2:3]))
