"""Gives a reader many broken inputs: python tests/fuzz/fuzz.py READER [--inputs N] [--seed N].

An input that raises anything but the reader's own errors, or takes longer than ten seconds of
processor time, ends the run and is kept in `found/`; whatever is there is tried by every test run.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import signal
import sys
import time
from pathlib import Path

from mutation import Mutator
from target import Target
from targets import TARGETS

FOUND = Path(__file__).parent / "found"
LONGEST_SECONDS = 10.0
MOST_GROWTH_KB = 500_000


class TooSlow(BaseException):
    """One input took too long."""


def try_input(target: Target, data: bytes) -> bool:
    """Whether a reader takes an input; raises what it must not raise."""
    signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_SECONDS)
    try:
        target.run(data)
    except target.errors:
        return False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return True


def _too_slow(*_: object) -> None:
    raise TooSlow


def run(name: str, inputs: int, seed: int) -> int:
    """Give a reader that many inputs; how many it took. Keeps the one that breaks it, and raises."""
    target = TARGETS[name]
    mutator = Mutator(target.seeds(), seed, target.words)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = 0
    for _ in range(inputs):
        data = mutator.next()
        try:
            taken += try_input(target, data)
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt):
                print(f"{name}: {kept(name, data)}", file=sys.stderr)
            raise
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < MOST_GROWTH_KB, f"{name} grew by {grown} kB"
    return taken


def kept(name: str, data: bytes) -> Path:
    """Where the input is kept."""
    folder = FOUND / name.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    start = time.process_time()
    taken = run(given.reader, given.inputs, given.seed)
    seconds = time.process_time() - start
    print(
        f"{given.reader}: {given.inputs} inputs, {taken} taken, {given.inputs - taken} refused, {seconds:.0f} s of CPU"
    )


if __name__ == "__main__":
    main()
