"""Everything that reads what others wrote, by name."""

from __future__ import annotations

import stored_targets
import typed_targets
import wire_targets
from target import Target

TARGETS: dict[str, Target] = {**stored_targets.TARGETS, **typed_targets.TARGETS, **wire_targets.TARGETS}
