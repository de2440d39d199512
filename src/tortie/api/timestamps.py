"""Times as metadata and status hold them (RFC 3339); one that cannot be read spoils the object for other readers."""

from __future__ import annotations

import re
from datetime import datetime

from tortie.api.formats import Format
from tortie.api.shapes import Pattern

_EXPRESSION = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
_TIMESTAMP = re.compile(_EXPRESSION)


def is_timestamp(text: str) -> bool:
    """Whether a text is a moment, to the second or finer, with its distance from UTC."""
    if _TIMESTAMP.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


TIMESTAMP = Format(is_timestamp, "a time such as 2026-08-23T09:00:00Z", (Pattern(_EXPRESSION),))
