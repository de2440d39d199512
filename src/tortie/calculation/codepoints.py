"""Names of differentiated services code points, as numbers."""

from __future__ import annotations

CODE_POINT = "qos.projectcalico.org/dscp"
"""The annotation of a HostEndpoint with the code point of what its host sends."""

_NAMED = {"DF": 0, "EF": 46}
"""RFC 2474, RFC 3246."""


def code_point(text: int | str | None) -> int | None:
    """The number, 0 to 63, of a number or a name such as `AF41` or `CS1`; None for none.

    Raises:
        ValueError: it is neither.
    """
    if text is None:
        return None
    name = str(text).upper()
    if name in _NAMED:
        return _NAMED[name]
    if name.isdigit() and int(name) < 64:
        return int(name)
    if len(name) == 4 and name.startswith("AF") and name[2] in "1234" and name[3] in "123":
        # RFC 2597: class and drop precedence.
        return 8 * int(name[2]) + 2 * int(name[3])
    if len(name) == 3 and name.startswith("CS") and name[2] in "0123456":
        return 8 * int(name[2])
    raise ValueError(f"{text!r} is no code point; use a number from 0 to 63 or a name such as EF, AF41, CS1")
