"""`tortie delete`: by name, by labels, by file; all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from click.testing import Result

from tortie.base.clock import SystemClock
from tortie.datastore.embedded import EmbeddedDatastore
from tortie.datastore.migration import INFORMATION_KEY
from tortie.ipam.allocator import Allocator
from tortie.ipam.requests import AssignRequest

Run = Callable[..., Result]
StoreValue = Callable[[str, bytes], None]

TIER = """
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security, labels: {team: net}}
spec: {order: 100, defaultAction: Pass}
"""


BELONGINGS = """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n1}
spec: {bgp: {ipv4Address: 10.0.0.5/24}}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: node.n1}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: node.n2}
---
apiVersion: projectcalico.org/v3
kind: BGPPeer
metadata: {name: peer}
spec: {node: n1, peerIP: 10.0.0.1, asNumber: 64512}
---
apiVersion: projectcalico.org/v3
kind: WorkloadEndpoint
metadata: {name: n1-k8s-web-eth0, namespace: shop}
spec: {node: n1, orchestrator: k8s, pod: web, endpoint: eth0, ipNetworks: [10.65.0.1/32], interfaceName: cali1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.65.0.1]}]
"""


def policy(name: str, labels: str = "{}") -> str:
    return f"""---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {{name: {name}, namespace: shop, labels: {labels}}}
spec: {{tier: security, selector: role == 'db'}}
"""


def test_a_tier_goes_with_its_policies_when_both_are_named(run: Run) -> None:
    text = TIER + policy("db") + policy("web")
    run("apply", "-f", "-", text=text)
    result = run("delete", "tier", "security")
    assert result.exit_code == 1
    assert "still holds 2 policies: NetworkPolicy shop/db, NetworkPolicy shop/web (delete or move them" in result.stderr
    assert run("delete", "-f", "-", text=text).output.splitlines() == [
        "networkpolicy shop/db deleted",
        "networkpolicy shop/web deleted",
        "tier security deleted",
    ]


def test_nothing_is_deleted_when_something_cannot_be(run: Run) -> None:
    run("apply", "-f", "-", text=TIER + policy("db"))
    result = run("delete", "np", "db", "dbb", "-n", "shop")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "NetworkPolicy shop/dbb: does not exist (did you mean NetworkPolicy shop/db?)",
        "nothing was written",
    ]
    assert run("get", "np", "db", "-n", "shop").exit_code == 0
    for option in ("-s", "--skip-not-exists", "--ignore-not-found"):
        assert run("delete", "np", "dbb", "-n", "shop", option).exit_code == 0
    assert run("delete", "np/db", "tier/security", "-n", "shop").exit_code == 0


def test_objects_are_chosen_by_their_labels_in_either_language(run: Run) -> None:
    run("apply", "-f", "-", text=TIER + policy("a", "{app: x}") + policy("b", "{app: y}") + policy("c"))
    assert run("delete", "np", "-l", "app == 'x'", "-A", "--dry-run").output == (
        "networkpolicy shop/a would be deleted (server dry run)\n"
    )
    assert run("delete", "np", "-l", "app", "-n", "shop", "-o", "name").output == "networkpolicy/a\nnetworkpolicy/b\n"
    assert run("delete", "np", "--all", "-n", "shop").output == "networkpolicy shop/c deleted\n"


def test_all_tiers_are_all_but_those_built_in(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    assert run("delete", "tiers", "--all").output == "tier security deleted\n"
    assert "is built in and cannot be deleted" in run("delete", "tier", "default").stderr


def test_a_kind_alone_deletes_nothing(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    result = run("delete", "tiers")
    assert result.exit_code == 2
    assert "name which tiers to delete, or choose them with -l SELECTOR or --all" in result.stderr
    assert run("delete", "tier", "security", "--all").exit_code == 2
    assert run("delete", "tier", "security", "-f", "-", text=TIER).exit_code == 2


def test_what_is_deleted_by_file_need_not_be_valid(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    assert run("delete", "-f", "-", text=TIER.replace("order: 100", "odrer: ten")).exit_code == 0


def test_a_file_that_names_a_revision_deletes_that_one_only(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    shown = run("get", "tier", "security", "-o", "yaml").output
    run("apply", "-f", "-", text=TIER.replace("100", "200"))
    result = run("delete", "-f", "-", text=shown)
    assert result.exit_code == 1
    assert "metadata.resourceVersion: is at revision" in result.stderr
    assert run("delete", "-f", "-", text=run("get", "tier", "security", "-o", "yaml").output).exit_code == 0


def test_a_node_goes_with_its_own_settings(run: Run) -> None:
    node = """
apiVersion: projectcalico.org/v3
kind: Node
metadata: {name: n1}
spec: {bgp: {ipv4Address: 10.0.0.1/24}}
---
apiVersion: projectcalico.org/v3
kind: FelixConfiguration
metadata: {name: node.n1}
spec: {logSeverityScreen: Info}
"""
    assert run("apply", "-f", "-", text=node).exit_code == 0
    assert run("delete", "node", "n1").output == "node n1 deleted\n"
    assert run("get", "felixconfig", "node.n1").exit_code == 1


SLICE = """---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %s, namespace: %s, labels: {kubernetes.io/service-name: %s}}
addressType: IPv4
endpoints: [{addresses: [10.65.0.1]}]
"""


def test_a_service_goes_with_its_slices_and_no_others(run: Run) -> None:
    service = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}}\n"
    slices = (("a", "shop", "web"), ("b", "shop", "web"), ("c", "shop", "other"), ("d", "bank", "web"))
    run("apply", "-f", "-", text=service + "".join(SLICE % one for one in slices))
    stale = service.replace("shop}", "shop, resourceVersion: '1'}")
    assert run("delete", "-f", "-", text=stale).exit_code == 1
    assert run("get", "endpointslice", "a", "b", "-n", "shop").exit_code == 0
    assert run("delete", "service", "web", "-n", "shop").output == "service shop/web deleted\n"
    left = run("get", "endpointslice", "-A", "-o", "name").output.split()
    assert sorted(one.rpartition("/")[2] for one in left) == ["c", "d"]


def test_a_pool_is_disabled_before_it_is_deleted(run: Run) -> None:
    pool = "{apiVersion: projectcalico.org/v3, kind: IPPool, metadata: {name: p}, spec: {cidr: 10.0.0.0/16}}"
    run("apply", "-f", "-", text=pool)
    assert run("delete", "pool", "p").output == "ippool p deleted\n"
    assert run("get", "pool", "p").exit_code == 1


def test_a_dry_run_of_the_client_asks_no_datastore(run: Run) -> None:
    assert run("delete", "np", "x", "--dry-run=client").output == "networkpolicy default/x would be deleted (dry run)\n"


def test_a_dry_run_tells_what_goes_with_a_node_and_a_service(run: Run) -> None:
    run("apply", "-f", "-", text=BELONGINGS)
    lines = [
        "service shop/web would be deleted (server dry run)",
        "node n1 would be deleted (server dry run)",
        "endpointslice shop/web-1 would be deleted (server dry run)",
        "workloadendpoint shop/n1-k8s-web-eth0 would be deleted (server dry run)",
        "bgppeer peer would be deleted (server dry run)",
        "felixconfiguration node.n1 would be deleted (server dry run)",
    ]
    dry = run("delete", "node/n1", "svc/web", "-n", "shop", "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines(), dry.stderr) == (0, lines, "")
    named = run("delete", "-f", "-", "--dry-run", text=BELONGINGS)
    second = "felixconfiguration node.n2 would be deleted (server dry run)"
    assert sorted(named.stdout.splitlines()) == sorted([*lines, second])
    assert run("get", "node/n1", "svc/web", "-n", "shop").exit_code == 0
    run("delete", "node/n1", "svc/web", "-n", "shop")
    left = run("get", "nodes,svc,endpointslices,wep,bgppeers,felixconfig", "-A", "-o", "name").stdout.split()
    assert left == ["felixconfiguration/node.n2"]


def test_addresses_in_use_are_told_before_their_pool_or_node_goes(run: Run, tmp_path: Path) -> None:
    pool = "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\nspec: {cidr: 10.65.0.0/26}\n"
    run("apply", "-f", "-", text=f"{pool}---{BELONGINGS}")
    first, *others = asyncio.run(_assigned(tmp_path / "datastore.db", 3))
    run("apply", "-f", "-", text=BELONGINGS.replace("10.65.0.1", first))
    dry = run("delete", "node", "n1", "--dry-run")
    assert dry.stderr.splitlines() == [
        "warning: Node n1: 1 address would be released, and 1 block given up",
        "warning: Node n1: 2 addresses of its blocks would stay held (see `tortie ipam check`)",
    ]
    for options in (("--dry-run",), ()):
        gone = run("delete", "ippool", "p", *options)
        assert gone.exit_code == 0
        assert gone.stderr.startswith("warning: IPPool p: 3 addresses of 10.65.0.0/26 in use: whoever has one keeps it")
    smaller = run("apply", "-f", "-", text=pool.replace("/26", "/24, blockSize: 28"))
    assert (
        "IPPool p: spec.blockSize: is 28, and there is a block of another size: 10.65.0.0/26 (take 26" in smaller.stderr
    )
    assert run("apply", "-f", "-", text=pool.replace("/26", "/24")).exit_code == 0
    shown = [run("ipam", "show", f"--ip={address}").stdout for address in (first, *others)]
    assert ["is in use" in one for one in shown] == [True] * 3


async def _assigned(place: Path, count: int) -> list[str]:
    datastore = await EmbeddedDatastore.open(place)
    allocator = Allocator(datastore, SystemClock(), Random(1))
    given = await allocator.auto_assign(AssignRequest(node="n1", num4=count, handle="h"))
    await datastore.close()
    return [address.text for address in given.v4]


def test_what_others_refer_to_goes_last_in_whatever_order_it_is_named(run: Run) -> None:
    gnp = policy("g").replace("NetworkPolicy", "GlobalNetworkPolicy").replace(", namespace: shop", "")
    gone = ["globalnetworkpolicy g deleted", "tier security deleted"]
    for words in (("tier/security", "gnp/g"), ("tier,gnp", "--all"), ("all", "--all")):
        run("apply", "-f", "-", text=TIER + gnp)
        dry = run("delete", *words, "--dry-run").output.splitlines()
        result = run("delete", *words)
        assert (result.exit_code, result.output.splitlines()) == (0, gone)
        assert dry == [f"{line.replace('deleted', 'would be deleted')} (server dry run)" for line in gone]


def test_a_tier_that_holds_more_than_what_is_deleted_keeps_everything(run: Run) -> None:
    run("apply", "-f", "-", text=TIER + policy("db") + policy("web"))
    for words in (("tier/security", "np/web", "-n", "shop"), ("np/web", "tier/security", "-n", "shop")):
        for option in ((), ("--dry-run",)):
            result = run("delete", *words, *option)
            assert (result.exit_code, result.stdout) == (1, "")
            assert "Tier security: still holds 1 policy: NetworkPolicy shop/db" in result.stderr
            assert result.stderr.splitlines()[-1] == "nothing was written"
    assert run("delete", "-f", "-", text=policy("web") + TIER).exit_code == 1
    assert len(run("get", "np", "-n", "shop", "-o", "name").output.splitlines()) == 2


def test_what_cannot_be_read_can_be_deleted(run: Run, store_value: StoreValue) -> None:
    for kind in ("node", "ippool"):
        store_value(f"/calico/resources/v3/projectcalico.org/{kind}s/n1", b"{")
        deleted = run("delete", kind, "n1")
        assert deleted.stdout == f"{kind} n1 deleted\n"
        assert "what was stored could not be read (" in deleted.stderr
        assert "and is deleted alone: what belonged to it stays\n" in deleted.stderr


def test_the_identity_that_goes_with_a_cluster_information_is_told(run: Run, store_value: StoreValue) -> None:
    guid = "9c1f0a3be5d74e0f8a6c2d1b4e7f9012"
    store_value(INFORMATION_KEY, b'{"spec":{"clusterGUID":"%s","datastoreReady":7}}' % guid.encode())
    deleted = run("delete", "clusterinformation", "default")
    assert deleted.exit_code == 0, deleted.output
    assert f"the cluster's identity goes with it, clusterGUID {guid}; the next write makes another" in deleted.stderr


def test_that_nothing_matched_is_said_and_no_failure(run: Run) -> None:
    run("apply", "-f", "-", text=TIER)
    for words in (("-l", "nope=1", "-A"), ("--all",)):
        result = run("delete", "np", *words)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "nothing matched\n")
    assert run("delete", "np", "web", "-s").stderr == ""


def test_a_dry_run_of_the_client_promises_nothing_for_a_file_that_is_wrong(run: Run) -> None:
    result = run("delete", "-f", "-", "--dry-run=client", text=TIER + "---\n{kind: Tier}\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == "nothing was written"
