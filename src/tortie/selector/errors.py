"""The one error of the selector language."""

from __future__ import annotations

from tortie.base.errors import TortieError


class InvalidSelector(TortieError, ValueError):
    """A text that is not a selector, or a selector that has no text.

    Args:
        text: the whole text.
        position: characters before the place of the problem.
        problem: what is wrong there.
    """

    def __init__(self, text: str, position: int, problem: str) -> None:
        self.text = text
        self.position = position
        self.problem = problem
        super().__init__(f"{problem}, at character {position + 1} of selector {_shortened(text)!r}")


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:197]}..."
