"""Runs every case file of a directory: `run.py DIR [--kernel]`; exit status 1 when a case failed.

A relative directory is one below the repository's root. `--kernel` sends reachability and probe cases
through a lab as real packets too, which needs root.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import formats
import msgspec
import structlog

ROOT = Path(__file__).parents[2]
LAB = "conformance"
CASES_SHOWN = 20
LINES_SHOWN = 5
LINE_LENGTH = 300
PACKET_FORMATS = ("reachability-cases", "probe-cases")
"""Formats whose cases can be sent as packets."""

Case = Mapping[str, Any]


class Result(msgspec.Struct):
    """What became of one case: differences if it failed, or why it could not be judged."""

    case: Case
    differences: list[str] = []
    unsupported: str = ""

    @property
    def passed(self) -> bool:
        """Neither failed nor left out."""
        return not self.differences and not self.unsupported


def run_document(document: Mapping[str, Any], kernel: bool = False) -> list[Result]:
    """Judge every case of a file."""
    results = [_judge(case, document) for case in document["cases"]]
    if kernel and document["format"] in PACKET_FORMATS:
        _send_packets([result for result in results if not result.unsupported], document["clusters"])
    return results


def _judge(case: Case, document: Mapping[str, Any]) -> Result:
    try:
        return Result(case, formats.judge(case, document))
    except formats.Unsupported as reason:
        return Result(case, unsupported=str(reason))


def _send_packets(results: Sequence[Result], clusters: Mapping[str, Any]) -> None:
    import kernel

    by_id = {result.case["id"]: result for result in results}
    for cases in kernel.groups([result.case for result in results], clusters):
        with kernel.laboratory(LAB, cases, clusters) as lab:
            for case in cases:
                found = formats.differences(lambda case, _: kernel.run_case(lab, case, clusters), case, {})
                by_id[case["id"]].differences += [f"kernel: {line}" for line in found]


def report(name: str, results: Sequence[Result]) -> bool:
    """Print one line for a file, and the cases that failed; whether none did."""
    failed = [result for result in results if result.differences]
    passed = sum(result.passed for result in results)
    print(
        f"{name}: {passed} passed, {len(failed)} failed, {len(results) - passed - len(failed)} unsupported", flush=True
    )
    for result in failed[:CASES_SHOWN]:
        print(f"  {result.case.get('id')} {result.case.get('name', '')}".rstrip())
        _print_some([f"    {_one_line(line)}" for line in result.differences], LINES_SHOWN)
    if len(failed) > CASES_SHOWN:
        print(f"  ... and {len(failed) - CASES_SHOWN} more cases", flush=True)
    return not failed


def _print_some(lines: Sequence[str], most: int) -> None:
    print("\n".join(lines[:most]))
    if len(lines) > most:
        print(f"    ... and {len(lines) - most} more")


def _one_line(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= LINE_LENGTH else f"{joined[:LINE_LENGTH]}..."


def run_file(path: Path, kernel: bool) -> bool:
    """Judge and report one file; whether nothing failed. A file without cases, such as a schema, is passed over."""
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        print(f"{path.stem}: is not JSON: {error}")
        return False
    if not isinstance(document, dict) or not {"format", "cases"} <= document.keys():
        return True
    return report(path.stem, run_document(document, kernel))


def main(argv: Sequence[str]) -> int:
    """The exit status: 0 when nothing failed, 1 when something did, 2 for a directory without case files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument(
        "--kernel", action="store_true", help="also send reachability and probe cases through a lab (root)"
    )
    arguments = parser.parse_args(argv)
    if arguments.kernel and os.geteuid() != 0:
        parser.error("--kernel makes network namespaces: run it as root")
    files = sorted((ROOT / arguments.directory).glob("*.json"))
    if not files:
        parser.error(f"no case files in {ROOT / arguments.directory}")
    succeeded = [run_file(path, arguments.kernel) for path in files]
    return 0 if all(succeeded) else 1


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    sys.exit(main(sys.argv[1:]))
