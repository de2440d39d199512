"""The specification's error answers."""

from __future__ import annotations

from tortie.base.errors import TortieError

INCOMPATIBLE_VERSION = 1
UNSUPPORTED_FIELD = 2
CONTAINER_UNKNOWN = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
DECODE_FAILURE = 6
INVALID_NETWORK_CONFIG = 7
TRY_AGAIN_LATER = 11
NOT_AVAILABLE = 50
"""To STATUS: no workload can be attached now."""

ASSIGNMENT_FAILED = 100
NOT_AS_ADDED = 101
DELEGATE_FAILED = 102
"""Codes of 100 and above are the plugin's own."""


class CniError(TortieError):
    """An answer that tells the runtime what is wrong.

    Args:
        code: of the specification, section "Error".
        message: one sentence.
        details: more, for people.
    """

    def __init__(self, code: int, message: str, details: str = "") -> None:
        self.code = code
        self.message = message
        self.details = details
        super().__init__(f"{message}: {details}" if details else message)
