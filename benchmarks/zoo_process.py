"""These functions check models in processes of their own, and read the stored records."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable

from .script import ROOT
from .zoo_models import Case
from .zoo_record import Record, heading, versions


def spawn(module: str, case: Case, threads: int, seconds: float, code: str) -> Record:
    """Run one case in a process of its own: its memory is freed, and a crash stays there.

    Args:
        module: The script, which takes ``--worker`` and calls `work`.
        case: The model.
        threads: Of the process.
        seconds: After which it is stopped.
        code: The digest of the code under test, for the record of a process that fails.
    """
    command = [sys.executable, "-m", module, "--worker", case.key, "--threads", str(threads)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT
        )
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        output, reason = done.stdout, f"exit code {done.returncode}: {said[-1]}"
    except subprocess.TimeoutExpired:
        output, reason = "", f"not done after {seconds} s"
    for line in output.splitlines():
        if line.startswith('{"key"'):
            return json.loads(line)
    return {
        "key": case.key, **heading(case), "faults": [reason], "verdict": "fail",
        "versions": versions(case.family), "code": code,
    }  # fmt: skip


def work(
    name: str, cases: Iterable[Case], run_case: Callable[[Case, int], Record], threads: int
) -> int:
    """Run one case in this process and print its record as a line of JSON."""
    import torch

    torch.set_num_threads(threads)
    case = next(case for case in cases if case.key == name)
    print(json.dumps(run_case(case, threads)), flush=True)
    return 0
