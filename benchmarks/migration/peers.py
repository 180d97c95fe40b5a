"""`maps_of` returns the maps of a package, made here or in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..script import ROOT
from .case import Array
from .environments import ENVIRONMENTS, python_of
from .subject import Subject
from .torch_cases import captum_maps, pytorch_grad_cam, torch_cam

_HERE = {
    "pytorch-grad-cam": ("grad-cam", pytorch_grad_cam),
    "captum": ("captum", captum_maps),
    "torch-cam": ("torchcam", torch_cam),
}


def maps_of(
    peer: str, subject: Subject, folder: Path, environments: Path
) -> tuple[str, dict[str, Array]]:
    """Return the version of a package, and its maps [h, w] by call.

    Args:
        peer: The package's name on the page.
        subject: The model and the photograph.
        folder: Where files for another process go.
        environments: Where environments are made.

    Raises:
        RuntimeError: An environment cannot be made, or its script failed; the message ends in what
            it said.
    """
    if peer in _HERE:
        package, make = _HERE[peer]
        x = torch.from_numpy(subject.pixels)
        return metadata.version(package), make(subject.copy, x, subject.classes)
    given, taken = folder / "given.npz", folder / "taken.npz"
    plain = folder / "plain.onnx"
    node = subject.write_plain(plain)
    arrays: dict[str, Any] = {**subject.state(), "plain": str(plain), "node": node}
    np.savez(given, **arrays, c=subject.classes[0])
    command = [
        str(python_of(peer, environments)), "-m",
        f"benchmarks.migration.{ENVIRONMENTS[peer].script}", peer, str(given), str(taken),
    ]  # fmt: skip
    # The other Python must not see this one's packages.
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{peer}: {done.stderr.strip()[-1500:]}")
    with np.load(taken) as found:
        return str(found["version"]), {
            name: found[name] for name in found.files if name != "version"
        }
