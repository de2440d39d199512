"""Assertions about policy in Python: they hold for all packets, and say which packet is against them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tortie.base.errors import InvalidResource
from tortie.testing import Policies

POLICY = """
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  ingress:
  - {action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [80]}}
  - {action: Allow, protocol: TCP, source: {namespaceSelector: env == 'ops'}, destination: {ports: [metrics]}}
"""


@pytest.fixture
def policies(tmp_path: Path) -> Policies:
    (tmp_path / "web.yaml").write_text(POLICY)
    shop = Policies.read(tmp_path).with_endpoint("shop/client", {"app": "client"})
    return shop.with_endpoint("shop/web", {"app": "web"}, ports={"metrics": (9100, "TCP")})


def test_what_is_asserted_holds_for_all_packets(policies: Policies) -> None:
    policies.assert_allowed("shop/client", "shop/web", "80/tcp")
    policies.assert_denied("shop/client", "shop/web", 443)
    policies.assert_denied("outside", "shop/web")
    policies.assert_only("app == 'client'", "shop/web")
    with pytest.raises(AssertionError, match=r"never shop/client → shop/web .any.: .*TCP 80 gets through"):
        policies.assert_denied("shop/client", "shop/web")
    with pytest.raises(AssertionError, match="denied by ingress"):
        policies.assert_allowed("shop/client", "shop/web")


def test_others_can_be_made_up(policies: Policies) -> None:
    more = policies.with_namespace("ops", {"env": "ops"}).with_endpoint("ops/prometheus", addresses=["10.9.0.1"])
    more.assert_allowed("ops/prometheus", "shop/web", "9100/tcp")
    assert not more.only("app == 'client'", "shop/web").holds
    assert policies.only("app == 'client'", "shop/web").holds


def test_a_file_of_statements_brings_its_manifests(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(POLICY)
    file = tmp_path / "shop.tortie.yaml"
    file.write_text(
        "manifests: [web.yaml]\nendpoints: [{name: shop/web, labels: {app: web}}]\n"
        "invariants: [{never: {from: outside, to: shop/web}}]\n"
    )
    found = Policies.of_file(file)
    assert [found.outcome(one).holds for one in found.stated()] == [True]
    with pytest.raises(InvalidResource, match="cannot be read"):
        Policies.of_file(tmp_path / "none.yaml")
    with pytest.raises(InvalidResource):
        Policies.read(tmp_path / "none.yaml")
