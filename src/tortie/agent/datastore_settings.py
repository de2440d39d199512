"""Where an agent's datastore is, and how to speak to it."""

from __future__ import annotations

from pathlib import Path

from tortie.agent.setting import Setting
from tortie.agent.setting_values import one_of, positive_seconds
from tortie.datastore.location import DEFAULT_FILE


def calico(name: str) -> tuple[str, str]:
    """A variable of Calico's, and its bare form, which counts less."""
    return f"CALICO_{name}", name


def _place(text: str) -> str:
    if "://" not in text and not Path(text).is_absolute():
        raise ValueError("use the whole path of a file, or URLs such as http://127.0.0.1:2379")
    return text


DATASTORE_TABLE: tuple[Setting, ...] = (
    Setting(
        "datastore", _place, str(DEFAULT_FILE), "File of the embedded datastore, or URLs of etcd, joined by commas."
    ),
    Setting(
        "datastore_type",
        str,
        "",
        "`etcdv3`; not needed where etcd is named.",
        ("FELIX_DATASTORETYPE", *calico("DATASTORE_TYPE")),
    ),
    Setting(
        "etcd_endpoints",
        str,
        "",
        "URLs of etcd, joined by commas; tried in this order.",
        ("FELIX_ETCDENDPOINTS", *calico("ETCD_ENDPOINTS")),
    ),
    Setting("etcd_addr", str, "127.0.0.1:2379", "Host and port of etcd where no URLs are given.", ("FELIX_ETCDADDR",)),
    Setting("etcd_scheme", one_of("http", "https"), "http", "How to speak to it there.", ("FELIX_ETCDSCHEME",)),
    Setting("etcd_username", str, "", "User of etcd; with a password, or not at all.", calico("ETCD_USERNAME")),
    Setting("etcd_password", str, "", "That user's password.", calico("ETCD_PASSWORD"), secret=True),
    Setting(
        "etcd_ca_cert_file",
        str,
        "",
        "Authority that signed the certificates of etcd.",
        ("FELIX_ETCDCAFILE", *calico("ETCD_CA_CERT_FILE")),
    ),
    Setting(
        "etcd_cert_file",
        str,
        "",
        "Certificate to show to etcd.",
        ("FELIX_ETCDCERTFILE", *calico("ETCD_CERT_FILE")),
    ),
    Setting(
        "etcd_key_file",
        str,
        "",
        "Key of that certificate.",
        ("FELIX_ETCDKEYFILE", *calico("ETCD_KEY_FILE")),
    ),
    Setting(
        "etcd_timeout_seconds",
        positive_seconds,
        "10",
        "Time without an answer of any member after which etcd counts as away.",
    ),
)
