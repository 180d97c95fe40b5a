"""This module writes the pages of the Python reference: a heading for each public name.

mkdocstrings fills them from the docstrings. The names are those of ``__all__``, so that none is
forgotten.
"""

from __future__ import annotations

import ast
from pathlib import Path

_PAGES = {
    "reference/exporter.md": (
        "graftcam.exporter", "exporter/__init__.py",
        "Turns a model into an artifact. It needs PyTorch and onnx: "
        '`pip install "graftcam[cpu,export]"`. `graftcam.export` is the function `export` below.',
    ),
    "reference/runtime.md": (
        "graftcam.runtime", "runtime/__init__.py",
        "Explains images with an artifact. It needs numpy, OpenCV and ONNX Runtime: "
        '`pip install "graftcam[cpu]"`. `graftcam.Explainer` and `graftcam.Explanation` are those '
        "below.",
    ),
}  # fmt: skip


def public_names(module: Path) -> list[str]:
    """Return the names in a module's ``__all__``, without importing it."""
    for node in ast.parse(module.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    raise ValueError(f"{module} has no __all__")


def api_pages(root: Path) -> dict[str, str]:
    """Return the pages in Markdown, by their place in the site.

    Args:
        root: The repository's folder.
    """
    return {
        place: "\n\n".join(
            [f"# {package}", text, *(f"::: {package}.{name}" for name in _sorted(root / init))]
        )
        for place, (package, init, text) in _PAGES.items()
    }


def _sorted(module: Path) -> list[str]:
    """Return the public names as a reader wants them: functions, classes, errors."""
    return sorted(
        public_names(module), key=lambda name: (name.endswith("Error"), not name.islower())
    )
