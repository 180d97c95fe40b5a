"""The scripts of docs/engines run: each shows a fault, or that an engine's new version has none."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from support.paths import ROOT

SCRIPTS = sorted((ROOT / "docs" / "engines").glob("*.py"))
PACKAGES = {"openvino": "openvino", "webgpu": "onnxruntime_ep_webgpu", "pytorch": "torch"}


@pytest.mark.parametrize("name", [one.name for one in SCRIPTS])
def test_a_fault_can_be_shown(name: str) -> None:
    package = PACKAGES.get(name.partition("_")[0], "onnx")
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    script = ROOT / "docs" / "engines" / name
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() or done.stderr.strip() == "no device", done.stderr
    assert "Traceback" not in done.stderr, done.stderr


def test_the_page_names_each() -> None:
    page = (ROOT / "docs" / "engines.md").read_text("utf-8")
    assert SCRIPTS
    assert all(f"(engines/{one.name})" in page for one in SCRIPTS)
