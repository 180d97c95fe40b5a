"""Every module outside the package's rooms can be imported, so that none names what has moved."""

from __future__ import annotations

import subprocess
import sys

from support.paths import ROOT

FAULTS = ROOT / "docs" / "engines"  # scripts that show something when they run
FOLDERS = {"benchmarks": "", "demo": "graftcam.", "docs": "", "examples": ""}


def test_benchmarks_demo_documents_and_examples_can_be_imported() -> None:
    modules = [
        prefix + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for folder, prefix in FOLDERS.items()
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "node_modules" not in path.parts and path.parent != FAULTS
    ]
    assert len(modules) > 40
    code = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    done = subprocess.run(
        [sys.executable, "-c", code, *modules],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
