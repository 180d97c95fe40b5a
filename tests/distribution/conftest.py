"""The distributions, built once from a clean copy of the checkout."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.distributions import Dist, build, tracked
from support.paths import ROOT


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Dist:
    """Build the source distribution, and the wheel from it.

    They stay in the folder that the environment variable GRAFTCAM_DIST names, if it does.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout: git cannot tell which files are the project's")
    tree = tmp_path_factory.mktemp("tree") / "checkout"
    for name in tracked():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    out = tmp_path_factory.mktemp("dist")
    build(tree, out)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    if wanted := os.environ.get("GRAFTCAM_DIST"):
        Path(wanted).mkdir(parents=True, exist_ok=True)
        shutil.copy2(wheel, wanted)
        shutil.copy2(sdist, wanted)
    return Dist(wheel, sdist, tree)
