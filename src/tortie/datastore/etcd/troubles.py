"""What goes wrong with etcd, by the words that give it away: what it means, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from tortie.base.errors import NotPermitted, Unavailable
from tortie.datastore.etcd.settings import EtcdSettings

ENDPOINTS = "--datastore, TORTIE_DATASTORE, calicoctl.cfg or ETCD_ENDPOINTS"
"""What names the servers, the first that does."""

_NOISE = re.compile(r"^failed to connect to all addresses; last error: |[A-Z_]+: (?:ipv[46]:\S+: )?(?=\S)|: OK$")
"""What gRPC puts around the reason of a connection that failed."""


class Failure(NamedTuple):
    """What a server, or several, answered or did not.

    Args:
        server: addresses, joined by commas.
        details: in etcd's words, gRPC's, or our own.
    """

    server: str
    details: str


class Trouble(msgspec.Struct, frozen=True):
    """One kind of trouble.

    Args:
        signs: it is this one when the details hold any of these words.
        remedy: what to do; `{endpoints}` stands for the URLs, `{user}` for the user.
        meaning: what to say instead of the details; empty when they say it best.
    """

    signs: tuple[str, ...]
    remedy: str
    meaning: str = ""


TROUBLES = (
    # Nobody is there
    Trouble(
        ("Connection refused",),
        f"start etcd there, or name other endpoints by {ENDPOINTS}; "
        "ask them with `etcdctl --endpoints={endpoints} endpoint health`",
        "cannot connect: nothing listens there",
    ),
    Trouble(
        ("address lookup failed", "Domain name not found", "errors resolving"),
        f"correct the name in {ENDPOINTS}, or the host's DNS",
        "cannot connect: there is no host of this name",
    ),
    Trouble(
        ("No route to host", "Network is unreachable", "Host is unreachable"),
        f"look at `ip route get`, or name other endpoints by {ENDPOINTS}",
        "cannot connect: no route leads there",
    ),
    Trouble(
        ("no connection in",),
        "is the host up, and does a firewall drop what is sent to this port? "
        "`etcdctl --endpoints={endpoints} endpoint health` asks from here",
    ),
    # TLS
    Trouble(
        ("Hostname Verification Check failed",),
        f"name the server in {ENDPOINTS} as its certificate does, see `openssl x509 -noout -ext subjectAltName`, "
        "or give it one with this name",
        "cannot connect: its certificate is for other names",
    ),
    Trouble(
        ("certificate has expired",),
        "renew the server's certificate, or set the clock of this host",
        "cannot connect: its certificate has expired",
    ),
    Trouble(
        ("certificate is not yet valid",),
        "set the clock of this host, or of the one that signed the certificate",
        "cannot connect: its certificate is not valid yet",
    ),
    Trouble(
        ("CERTIFICATE_VERIFY_FAILED",),
        "name the authority that signed it: ETCD_CA_CERT_FILE, or etcdCACertFile in calicoctl.cfg",
        "cannot connect: its certificate is signed by an authority that is not known here",
    ),
    Trouble(
        ("TSI_DATA_CORRUPTED", "CERTIFICATE_REQUIRED", "BAD_CERTIFICATE"),
        "show one that the servers' --trusted-ca-file signed and that has not expired: ETCD_CERT_FILE and "
        "ETCD_KEY_FILE, or etcdCertFile and etcdKeyFile in calicoctl.cfg",
        "cannot connect: it refuses our certificate, or wants one",
    ),
    Trouble(
        ("Failed to create security handshaker",),
        "give the key that the certificate was made with: ETCD_CERT_FILE and ETCD_KEY_FILE, or etcdCertFile and "
        "etcdKeyFile in calicoctl.cfg; `openssl x509 -noout -pubkey` and `openssl pkey -pubout` tell their public keys",
        "cannot connect: our certificate and key do not belong together, or are damaged",
    ),
    Trouble(
        ("WRONG_VERSION_NUMBER", "Handshake read failed"),
        f"write http:// instead of https:// in {ENDPOINTS}",
        "cannot connect: it does not speak TLS",
    ),
    # Somebody else is there
    Trouble(
        ("Failed parsing HTTP/2",),
        f"name the port for etcd's clients, 2379 as a rule, in {ENDPOINTS}",
        "cannot connect: what answers is not etcd",
    ),
    Trouble(
        ("failed to connect to all addresses; last error: UNAVAILABLE",),
        f"if it speaks TLS, write https:// instead of http:// in {ENDPOINTS}; is it etcd at all?",
        "cannot connect: it hangs up",
    ),
    # Who may do what
    Trouble(
        ("authentication failed, invalid user ID or password",),
        "correct ETCD_USERNAME and ETCD_PASSWORD, or etcdUsername and etcdPassword in calicoctl.cfg; "
        "`etcdctl user passwd {user}` sets a new password",
    ),
    Trouble(
        ("user name is empty",),
        "etcd asks for a user: set ETCD_USERNAME and ETCD_PASSWORD, or etcdUsername and etcdPassword in calicoctl.cfg",
    ),
    Trouble(
        ("permission denied",),
        "`etcdctl user get {user}` shows the roles of the user, deploy/etcd/roles.sh makes those that tortie needs, "
        "`etcdctl user grant-role {user} ROLE` gives one",
    ),
    # The cluster is not well
    Trouble(
        ("database space exceeded",),
        "make room with `etcdctl compact REVISION` and `etcdctl defrag`, or raise --quota-backend-bytes; "
        "then `etcdctl alarm disarm`",
    ),
    Trouble(
        ("corrupt",),
        "`etcdctl alarm list` names the member whose data are damaged: remove it, and add it again empty",
    ),
    Trouble(
        ("no leader", "leader changed", "leader failure", "unhealthy cluster"),
        "are more than half of the members up, and do they reach each other? "
        "`etcdctl --endpoints={endpoints} endpoint status --cluster` shows",
    ),
    Trouble(
        ("learner",),
        f"name members that vote in {ENDPOINTS}: `etcdctl member list` shows which",
    ),
    Trouble(
        ("no answer in", "no token in", "not answered", "request timed out", "too many requests", "Deadline Exceeded"),
        "etcd is overloaded, its disk slow, or a member stands still: "
        "`etcdctl --endpoints={endpoints} endpoint status` shows the members, `etcdctl check perf` how fast they are",
    ),
)
"""The first that fits counts."""

_NOT_PERMITTED = ("permission denied", "invalid user ID or password", "user name is empty")
"""Details of what waiting does not help against."""

_UNKNOWN = Trouble((), "ask it with `etcdctl --endpoints={endpoints} endpoint health`")


def told(settings: EtcdSettings, *failures: Failure) -> str:
    """Failures in words: which servers, what it means, and, once for each kind, what to do."""
    meanings = [
        f"{', '.join(failure.server for failure in same)}: {meaning}"
        for meaning, same in groupby(failures, lambda failure: _meaning(failure.details))
    ]
    remedies = dict.fromkeys(_trouble(failure.details).remedy for failure in failures)
    return f"etcd at {'; '.join(meanings)} ({'; '.join(_filled(remedy, settings) for remedy in remedies)})"


def unavailable(settings: EtcdSettings, failure: Failure) -> Unavailable:
    """The error for a failure: NotPermitted when it is about who asks."""
    kind = NotPermitted if any(sign in failure.details for sign in _NOT_PERMITTED) else Unavailable
    return kind(told(settings, failure))


def _trouble(details: str) -> Trouble:
    return next((one for one in TROUBLES if any(sign in details for sign in one.signs)), _UNKNOWN)


def _meaning(details: str) -> str:
    return _trouble(details).meaning or _NOISE.sub("", details)


def _filled(remedy: str, settings: EtcdSettings) -> str:
    endpoints: Sequence[str] = settings.endpoints
    return remedy.format(endpoints=",".join(endpoints), user=settings.username or "USER")
