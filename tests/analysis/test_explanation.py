"""Why traffic gets through or does not: rules in order, what about them does not hold, and what would turn it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tortie.analysis.cluster import Cluster, compile_cluster
from tortie.analysis.explanation import Explanation, explain
from tortie.analysis.packets import Space
from tortie.analysis.reachability import Reachability
from tortie.analysis.who import find_party, read_service
from tortie.analysis.wording import describe
from tortie.api.codec import decode
from tortie.api.defaults import with_defaults
from tortie.api.resource import Resource
from tortie.base.errors import InvalidResource
from tortie.desired.policy import Action


def resource(kind: str, name: str, namespace: str = "", labels: dict[str, str] | None = None, **spec: Any) -> Resource:
    metadata = {"name": name, "labels": labels or {}, **({"namespace": namespace} if namespace else {})}
    return with_defaults(decode(kind, json.dumps({"metadata": metadata, "spec": spec}).encode()))


def pod(name: str, *addresses: str, **labels: str) -> Resource:
    spec = {"orchestrator": "k8s", "node": "n", "interfaceName": "cali0", "profiles": ["kns.shop"], "pod": name}
    return resource("WorkloadEndpoint", f"n-k8s-{name}-eth0", "shop", labels, ipNetworks=list(addresses), **spec)


ALLOW = [{"action": "Allow"}]
BASE = [
    resource("Profile", "kns.shop", ingress=ALLOW, egress=ALLOW, labelsToApply={"pcns.team": "a"}),
    pod("client", "10.0.0.1", "fd00::1", app="client"),
    pod("other", "10.0.0.3", app="other"),
    pod("web", "10.0.0.2", "fd00::2", app="web"),
    resource(
        "NetworkPolicy",
        "web",
        "shop",
        selector="app == 'web'",
        types=["Ingress"],
        ingress=[
            {"action": "Deny", "source": {"nets": ["10.9.0.0/16"]}},
            {
                "action": "Allow",
                "protocol": "TCP",
                "source": {"selector": "app == 'client'"},
                "destination": {"ports": [80]},
            },
        ],
    ),
    resource("NetworkPolicy", "db", "shop", selector="app == 'db'", types=["Ingress"], ingress=[]),
]


@pytest.fixture
def cluster() -> Cluster:
    return compile_cluster(BASE)


def explained(cluster: Cluster, source: str, destination: str, service: str) -> list[Explanation]:
    parties = [find_party(cluster, text, "shop") for text in (source, destination)]
    return explain(Reachability(Space(), cluster), parties[0], parties[1], read_service(service))


def test_what_gets_through_is_told_with_the_rule_that_lets_it(cluster: Cluster) -> None:
    four, six = explained(cluster, "client", "web", "80/tcp")
    for one in (four, six):
        assert one.verdict is Action.ALLOW
        assert describe(one.allowed, one.packet.family) == "TCP 80"
        assert str(one.directions[1].walk.verdict.decided_by) == "Allow by NetworkPolicy shop/web rule 1"
    assert (four.packet.family, six.packet.family) == (4, 6)


def test_every_rule_that_was_passed_over_says_why(cluster: Cluster) -> None:
    ingress = explained(cluster, "other", "web", "443/tcp")[0].directions[1].walk
    deny, allow = ingress.policies[0].rules
    assert deny.reasons == ("source 10.0.0.3 is not in 10.9.0.0/16",)
    assert allow.reasons == (
        "source is not selected: app is 'other' (wanted: app == \"client\")",
        "destination port is 443, not 80",
    )
    assert ingress.verdict.action is Action.DENY


def test_policies_that_do_not_select_an_end_say_which_label_is_to_blame(cluster: Cluster) -> None:
    passed = explained(cluster, "client", "web", "80")[0].directions[1].walk.passed_over
    assert {str(policy): why for policy, why in passed.items()} == {
        "NetworkPolicy shop/db": "app is 'web' (wanted: app == \"db\")"
    }


def test_the_least_changes_that_would_turn_a_verdict_are_offered_where_it_is_decided(cluster: Cluster) -> None:
    egress, ingress = explained(cluster, "client", "web", "443")[0].directions
    assert egress.remedies == ()
    assert ingress.remedies == (
        "let NetworkPolicy shop/web ingress[1] match: now destination port is 443, not 80",
        "add to NetworkPolicy shop/web a first rule of ingress that allows TCP 443 from the other end",
    )
    closing = explained(cluster, "client", "web", "80")[0].directions[1].remedies
    assert closing[0] == "remove NetworkPolicy shop/web ingress[1]"


def test_a_change_that_would_turn_nothing_is_not_offered(cluster: Cluster) -> None:
    found = explained(cluster, "10.9.1.1", "web", "443")[0]
    assert found.directions[0].remedies == (
        "add to NetworkPolicy shop/web a first rule of ingress that allows TCP 443 from the other end",
    )
    assert found.unknown == ("10.9.1.1: nobody of this cluster",)


def test_whoever_fares_alike_is_told_once(cluster: Cluster) -> None:
    more = compile_cluster([*BASE, *(pod(f"more{number}", f"10.0.1.{number}", app="client") for number in range(1, 9))])
    assert len(explained(more, "app == 'client' && has(pcns.team)", "web", "80")) == 3  # one has both families


@pytest.mark.parametrize("text", ["nobody", "shop/nobody", "host/h", "app == 'none'", "app === 'web'", ""])
def test_who_is_nobody_is_told(cluster: Cluster, text: str) -> None:
    with pytest.raises(InvalidResource, match=r"NAMESPACE/NAME"):
        find_party(cluster, text, "shop")


def test_ends_go_by_pod_name_namespace_label_and_address(cluster: Cluster) -> None:
    def found(text: str) -> list[str]:
        return sorted(end.pod for end in find_party(cluster, text, "shop").ends)

    assert found("web") == found("shop/web") == found("shop/n-k8s-web-eth0") == found("10.0.0.2") == ["web"]
    assert found("shop/") == ["client", "other", "web"]
    assert found("has(app) && app != 'web'") == ["client", "other"]
    assert find_party(cluster, "8.8.8.8").address is not None


@pytest.mark.parametrize("text", ["0/tcp", "80/81", "80/nothing", "65536", "tcp/udp", "/"])
def test_what_is_no_service_is_told(text: str) -> None:
    with pytest.raises(InvalidResource, match="port and protocol"):
        read_service(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [("80", "TCP 80"), ("udp/53", "UDP 53"), ("53/udp", "UDP 53"), ("icmp", "ICMP"), ("any", "everything")],
)
def test_services_are_read_and_told(text: str, words: str) -> None:
    assert describe(read_service(text).packets(Space())) == words


def test_what_is_left_of_everything_is_told_by_what_is_not_in_it() -> None:
    space = Space()
    udp = read_service("udp").packets(space)
    assert describe(space.all - udp) == "every protocol but UDP"
    assert describe(udp - read_service("53/udp").packets(space)) == "UDP 0-52,54 and up"
    assert describe(space.icmp(8) & space.family(4), 4) == "ICMP type 8"
    assert describe(space.family(6) & udp) == "IPv6: UDP"
    assert describe(space.none) == "nothing"


def test_an_address_is_asked_about_alone(cluster: Cluster) -> None:
    assert [one.packet.family for one in explained(cluster, "fd00::1", "web", "80")] == [6]


def test_a_name_that_stands_alone_is_looked_for_in_its_namespace_and_then_everywhere() -> None:
    def end(namespace: str, name: str) -> Resource:
        spec = {"orchestrator": "k8s", "node": "n", "interfaceName": f"cali{namespace}{name}", "pod": name}
        return resource("WorkloadEndpoint", f"n-k8s-{name}-eth0", namespace, **spec)

    cluster = compile_cluster([end("default", "web"), end("shop", "web"), end("shop", "db"), end("test", "web")])
    for text, namespace, found in (("web", "default", "default"), ("web", "test", "test"), ("db", "default", "shop")):
        assert [one.key.namespace for one in find_party(cluster, text, namespace).ends] == [found]
    with pytest.raises(InvalidResource, match="give one of default/web, shop/web, test/web"):
        find_party(cluster, "web", "elsewhere")
