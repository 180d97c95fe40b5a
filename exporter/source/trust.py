"""`need_trust` refuses files that run code, unless the user trusts them."""

from __future__ import annotations

from pathlib import Path

from ..errors import CaptureError

PROGRAMS = {
    ".pt2": "torch.export.load unpickles parts of it and evaluates expressions in it",
    "TorchScript": "TorchScript is a program, which can read and write files as it loads and runs",
}
"""What runs of a file, by its suffix or kind."""


def need_trust(path: Path, kind: str, *, trust: bool) -> None:
    """Refuse a file that runs code.

    Args:
        path: The file.
        kind: A key of `PROGRAMS`.
        trust: Whether the user trusts whoever made the file.

    Raises:
        CaptureError: The user does not.
    """
    if not trust:
        raise CaptureError(
            f"{path.name} can run code of whoever made it: {PROGRAMS[kind]}; if you trust them, "
            "say so with --trust-source (trust=True); safe are an ONNX file, and weights in "
            "safetensors with the model's code (package.module:factory --weights FILE)"
        )
