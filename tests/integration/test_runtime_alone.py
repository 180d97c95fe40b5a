"""The runtime's tests import nothing that an installation of graftcam[cpu] and pytest lacks."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from support.paths import TESTS

INSTALLED = {"click", "cv2", "graftcam", "hostile", "numpy", "onnxruntime", "pytest", "support"}
# Packages of graftcam that need more.
FOREIGN = ("graftcam.exporter", "graftcam.demo")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, in functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "tests import absolutely"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def reached() -> Iterator[Path]:
    """The runtime's tests and the helpers that they import, directly or not."""
    waiting = sorted((TESTS / "runtime").rglob("*.py"))
    waiting += TESTS.glob("conftest.py")
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            yield path
            helpers = (TESTS / f"{name.replace('.', '/')}.py" for name in imported(path))
            waiting += [helper for helper in helpers if helper.exists()]


def test_they_import_what_is_installed() -> None:
    paths = list(reached())
    assert TESTS / "support" / "onnx_bytes.py" in paths
    for path in paths:
        for name in imported(path):
            top = name.partition(".")[0]
            assert top in INSTALLED or top in sys.stdlib_module_names, f"{path} imports {name}"
            assert not name.startswith(FOREIGN), f"{path} imports {name}"
