"""The time a short command takes, beside that of Python itself and of loading click: medians of alternating runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 25

TORTIE = str(Path(sys.executable).with_name("tortie"))
TIER = "{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: security}}"

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import click": [sys.executable, "-c", "import click"],
    "import click, asyncio, msgspec, sqlite3": [sys.executable, "-c", "import click, asyncio, msgspec, sqlite3"],
    "tortie --help": [TORTIE, "--help"],
    "tortie get tiers": [TORTIE, "get", "tiers"],
    "tortie get tiers -o yaml": [TORTIE, "get", "tiers", "-o", "yaml"],
    "tortie describe tier security": [TORTIE, "describe", "tier", "security"],
    "tortie validate -f FILE": [TORTIE, "validate", "-f", "tier.yaml"],
}


def seconds(command: list[str], folder: Path) -> float:
    """How long one run takes, from start to end."""
    environment = {**os.environ, "TORTIE_DATASTORE": str(folder / "datastore.db")}
    begin = time.perf_counter()
    subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def main() -> None:
    """Measure, and print times and ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tier.yaml").write_text(TIER)
        seconds([TORTIE, "apply", "-f", "tier.yaml"], folder)
        runs = [{label: seconds(command, folder) for label, command in COMMANDS.items()} for _ in range(ROUNDS)]
    medians = {label: statistics.median(run[label] for run in runs) for label in COMMANDS}
    print(f"{'command':42s} {'ms':>7s} {'of python':>10s} {'of click':>10s}")
    for label, median in medians.items():
        of_python, of_click = median / medians["python -c pass"], median / medians["import click"]
        print(f"{label:42s} {1000 * median:7.0f} {of_python:9.1f}x {of_click:9.1f}x")


if __name__ == "__main__":
    main()
