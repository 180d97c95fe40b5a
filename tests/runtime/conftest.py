"""Fixtures that most tests of the runtime share."""

from __future__ import annotations

from pathlib import Path

import pytest

from graftcam.runtime import Explainer
from support.artifacts import write_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The patch model's artifact; tests must not change the file."""
    return write_artifact(tmp_path_factory.mktemp("model") / "patches.onnx")


@pytest.fixture(scope="module")
def explainer(artifact: Path) -> Explainer:
    return Explainer(artifact)
