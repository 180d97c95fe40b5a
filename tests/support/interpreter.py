"""Code in a fresh interpreter, to see what it imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

FORBIDDEN = ["torch", "torchvision", "timm", "onnx", "onnx_ir", "onnxscript", "PIL", "scipy"]


def python(code: str, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run code in a fresh interpreter, also with other variables, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
