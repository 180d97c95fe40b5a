"""The calls of all packages, in the order of the page."""

from __future__ import annotations

from collections.abc import Sequence

from . import openvino_cases, tensorflow_cases, torch_cases
from .case import Case

CASES: dict[str, Sequence[Case]] = {
    "pytorch-grad-cam": torch_cases.PYTORCH_GRAD_CAM,
    "captum": torch_cases.CAPTUM,
    "torch-cam": torch_cases.TORCH_CAM,
    "tf-keras-vis": tensorflow_cases.TF_KERAS_VIS,
    "Xplique": tensorflow_cases.XPLIQUE,
    "OpenVINO XAI": openvino_cases.OPENVINO_XAI,
}
