"""`attempt` tries one subject as a new user would, in processes with limits of time and memory.

An ONNX file gets ``graftcam export FILE -o x.onnx`` and no option; a module gets
``export(model, path, example)``. What comes out is measured by `benchmarks.field.proof`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from ..script import ROOT
from . import inputs
from .inputs import PICTURES
from .subject import Subject

_MEMORY = 16 * 2**30  # bytes of address space, of which PyTorch reserves more than it uses
_PROOF_SECONDS = 120
_SAID = 3000  # last characters of the output that a row stores


def versions() -> dict[str, str]:
    """Versions that an attempt depends on."""
    packages = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "keras")
    return {package: metadata.version(package) for package in packages}


def attempt(subject: Subject, cache: Path, seconds: float) -> dict[str, Any]:
    """Try one subject.

    Returns:
        ``command``, ``exit`` (None after the time limit), ``said``, ``seconds`` and ``megabytes``;
        ``written``; and ``seen``, or ``unproven`` with the reason, if there is an artifact.
    """
    for package in (subject.package, *subject.code, PICTURES):
        package.fetch(cache)
    file = subject.package.folder(cache) / subject.file
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.onnx"
        if subject.build is None:
            command = ["-m", "graftcam", "export", str(file), "-o", str(path)]
            shown = f"graftcam export {file.name} -o x.onnx"
        else:
            command = ["-m", "benchmarks.field.attempt", "export", subject.key, path, cache]
            shown = "export(model, 'x.onnx', example)"
        done = _run([sys.executable, *map(str, command)], seconds)
        said = done["said"].replace(str(cache), "").replace(folder + os.sep, "")
        row = {**done, "command": shown, "said": said[-_SAID:], "written": path.exists()}
        if row["written"]:
            prove = ["-m", "benchmarks.field.attempt", "prove", subject.key, str(path), str(cache)]
            proof = _run([sys.executable, *prove], _PROOF_SECONDS)
            lines = [line for line in proof["said"].splitlines() if line.startswith('{"output"')]
            if proof["exit"] == 0 and lines:
                row["seen"] = json.loads(lines[-1])
            else:
                said = [line for line in proof["said"].splitlines() if line.strip()]
                row["unproven"] = said[-1] if said else f"exit {proof['exit']}"
    return row


def _run(command: list[str], seconds: float) -> dict[str, Any]:
    """Run a command, with one thread and within the limits; errors are a part of what it said."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        late = threading.Timer(seconds, process.kill)
        late.start()
        _, status, usage = os.wait4(process.pid, 0)
        on_time = late.is_alive()
        late.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    return {
        "exit": process.returncode if on_time else None, "said": text,
        "seconds": round(time.perf_counter() - start, 1),
        "megabytes": round(usage.ru_maxrss / 1024),
    }  # fmt: skip


def _export(subject: Subject, path: Path, cache: Path) -> int:
    """Export a module as the documentation shows it, and print what the command line prints."""
    from graftcam.exporter import export
    from graftcam.exporter.report.describe import describe_report
    from graftcam.runtime.errors import GraftcamError

    assert subject.build is not None
    folders = [package.folder(cache) for package in (subject.package, *subject.code)]
    model, example = subject.build(folders[0] / subject.file, folders)
    try:
        print(describe_report(export(model, path, example)))
    except GraftcamError as error:
        print(f"Error: {error}")
        return 1
    return 0


def main() -> int:
    """Do one step of an attempt: ``export`` or ``prove``, a key, the artifact, the cache."""
    from .proof import prove
    from .table import SUBJECTS

    step, key, path, cache = sys.argv[1:]
    subject = next(subject for subject in SUBJECTS if subject.key == key)
    inputs.use(Path(cache))
    if step == "export":
        return _export(subject, Path(path), Path(cache))
    print(json.dumps(prove(Path(path), subject)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
