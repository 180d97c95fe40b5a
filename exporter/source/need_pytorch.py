"""`need_pytorch` is the door before everything that needs PyTorch.

ONNX files are listed, exported and verified without it. Every other source passes here first, so
that the modules behind it (`torch_module`, `torch_export` and others) may import PyTorch.
"""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import CaptureError

# PyTorch's exporter to ONNX needs the second.
_NEEDED = {"torch": "PyTorch", "onnxscript": "onnxscript"}


def need_pytorch(subject: str) -> None:
    """Refuse ``subject``, such as ``torchvision:resnet50``, where PyTorch is not installed.

    Raises:
        CaptureError: PyTorch, or what it needs to export a model, is missing.
    """
    for module, name in _NEEDED.items():
        if not find_spec(module):
            raise CaptureError(f'{subject} needs {name}: pip install "graftcam[export]"')
