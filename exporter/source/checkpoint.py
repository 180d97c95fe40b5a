"""Files that torch.save and torch.jit.save write: weights, TorchScript, or pickled Python objects.

Nothing is unpickled that could run code. A TorchScript module is loaded only if the user trusts it.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError, first_line
from .trust import need_trust

if TYPE_CHECKING:
    import torch

CHECKPOINTS = (".pt", ".pth", ".bin", ".safetensors", ".ckpt", ".ts", ".torchscript")


def load_script(path: Path, *, trust: bool = False) -> torch.jit.ScriptModule:
    """Load a TorchScript module, whose file holds the model with its weights.

    Args:
        path: The file.
        trust: Whether to load it although it is a program.

    Raises:
        CaptureError: There is no such file, it holds something else, or it must be trusted.
    """
    import torch

    if not path.is_file():
        raise CaptureError(
            f"no file {path}; give a TorchScript file, or a model and its weights, such as "
            f"torchvision:resnet18 --weights {path}"
        )
    if not _is_script(path):
        if path.suffix != ".safetensors":
            read_weights(path)
        raise CaptureError(
            f"{path} holds weights, not their architecture; give both, such as "
            f"torchvision:resnet18 --weights {path}"
        )
    need_trust(path, "TorchScript", trust=trust)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's, that TorchScript is deprecated
            return torch.jit.load(path, map_location="cpu").eval()
    except Exception as error:
        raise CaptureError(f"cannot load {path} as TorchScript: {first_line(error)}") from error


def read_weights(path: Path) -> Any:
    """Read what a file holds, if that is numbers: a state dict, or a dict with one inside.

    Raises:
        CaptureError: There is no such file, or it holds something else; the message says what.
    """
    import torch

    if not path.is_file():
        raise CaptureError(f"no file {path}; --weights takes a state dict saved by torch.save")
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise CaptureError("safetensors is not installed; pip install safetensors") from error
        try:
            return load_file(path)
        except Exception as error:
            raise CaptureError(f"cannot read {path}: {first_line(error)}") from error
    if _is_script(path):
        raise CaptureError(
            f"{path} is no state dict but a TorchScript module, a whole model; give it as SOURCE"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = "it holds Python objects, and loading them would run code of the file"
        if not _is_pickled(path):
            reason = "it is no file of torch.save, or it is damaged"
        raise CaptureError(
            f"{path} is no state dict: {reason}; write one with "
            "torch.save(model.state_dict(), path) or safetensors, where the model can be loaded"
        ) from error


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load a state dict, or one within a checkpoint, from a file into ``model``.

    Raises:
        CaptureError: As `read_weights`; or it is that of another model.
    """
    state = read_weights(path)
    try:
        for key in ("state_dict", "model"):
            if isinstance(state, dict) and isinstance(state.get(key), dict):
                state = state[key]
        model.load_state_dict(state)
    except Exception as error:
        raise CaptureError(f"cannot load {path}: {_two_lines(error)}") from error


def _two_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def _is_script(path: Path) -> bool:
    """Whether a file is a TorchScript archive, which has code."""
    return any("/code/" in name for name in _names(path))


def _is_pickled(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(2)
    return any(name.endswith("data.pkl") for name in _names(path)) or start[:1] == b"\x80"


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):  # as damage makes zipfile raise
        return []
