"""Events of little severity are left out, and the level may change at any time."""

from __future__ import annotations

import pytest
import structlog

from tortie.agent.log_level import LEVELS, Threshold


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_below_the_level_is_dropped(level: str) -> None:
    threshold = Threshold("error")
    threshold.set(level)
    for method, severity in (*LEVELS.items(), ("exception", LEVELS["error"]), ("warn", LEVELS["warning"])):
        if severity < LEVELS[level]:
            with pytest.raises(structlog.DropEvent):
                threshold(None, method, {})
        else:
            assert threshold(None, method, {"event": "x"}) == {"event": "x"}
