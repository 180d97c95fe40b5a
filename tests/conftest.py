"""Fixtures that most tests share.

Test processes share the cores, and small tensors gain nothing from a second one: one thread each.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from graftcam.runtime import Explainer
from support.artifacts import write_artifact
from support.images import images, write_images
from support.torch_exporter import share_operators

# PyTorch, which nothing above imports, reads it once.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def _shared_operators() -> None:
    """Tests that export modules share what takes most of the time of a small one."""
    if "torch" in sys.modules:
        share_operators()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The patch model's artifact; tests must not change the file."""
    return write_artifact(tmp_path_factory.mktemp("model") / "patches.onnx")


@pytest.fixture(scope="module")
def explainer(artifact: Path) -> Explainer:
    return Explainer(artifact)


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """A folder of two images of 8 x 8."""
    return write_images(tmp_path / "images", images(2, 8, 8))
