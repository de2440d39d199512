"""The timestamps that blocks store: RFC 3339, UTC, whole seconds; and one more form, for people."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def rfc3339(seconds: float, up: bool = False) -> str:
    """Seconds since the epoch as `2026-08-23T09:05:00Z`, cut to the second, or rounded `up`."""
    whole = math.ceil(seconds) if up else math.floor(seconds)
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def attribute_time(seconds: float) -> str:
    """Seconds since the epoch as holders of addresses carry them, `2026-08-23 09:05:00.402 +0000 UTC`."""
    moment = datetime.fromtimestamp(math.floor(seconds * 1e6) / 1e6, UTC)
    fraction = f".{moment.microsecond:06}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def seconds_of(text: str) -> float:
    """The inverse; what another writer left unreadable counts as long ago (0), not as an error."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
