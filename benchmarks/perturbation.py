"""``python -m benchmarks.perturbation`` times perturbation methods and those of pytorch-grad-cam.

Both explain one class of one image with the same model and layer, on the same number of threads,
in turns. pytorch-grad-cam runs the whole model for each channel; graftcam's Ablation-CAM and
Recipro-CAM rerun the head, its Score-CAM reruns the whole model too. Run it on a quiet machine: a
round at ResNet-50's last layer takes some minutes.
"""

from __future__ import annotations

import copy
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
from pytorch_grad_cam import AblationCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from graftcam.exporter import TorchExport, export
from graftcam.runtime.methods.dispatch import run_method
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.heads import Heads
from graftcam.runtime.session.session import Session
from graftcam.runtime.tools.bench.timing import calm, interleave, quartiles, ratio

from .script import options, shown, table
from .subjects import INPUT, SHAPE, module
from .torch_peers import compare
from .truth import Array, random_images

_PEERS = {"ablationcam": AblationCAM, "scorecam": ScoreCAM}
_PEER_BATCH = 32  # its default for Ablation-CAM
_METHODS = ["reciprocam", "ablationcam", "scorecam"]
_HEADS = ("layer", "method", "graftcam, s", "pytorch-grad-cam, s", "times as fast")


def main() -> None:
    """Measure and print a table in Markdown for each layer."""
    asked = options(
        __doc__,
        model=("resnet50", "of torchvision"),
        layers=(["layer4", "layer3"], "module paths"),
        methods=(_METHODS, f"of {', '.join(_METHODS)}"),
        rounds=(3, "how often to measure"),
        threads=(2, "of both"),
    )
    torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        for layer in asked.layers:
            batch = _batch(asked.model, layer, Path(folder), asked.threads)
            theirs = partial(_theirs, asked.model, layer, batch)
            times = _measure(partial(_ours, batch), theirs, asked.methods, asked.rounds)
            shape = batch.session.outputs[batch.layer.activations][1:]
            name = f"{layer} ({' x '.join(map(str, shape))})"
            print("\n".join(table(_HEADS, _rows(name, times))), flush=True)
            if "ablationcam" in asked.methods:
                differs = compare(theirs("ablationcam"), _ours(batch, "ablationcam"))
                print(f"<!-- {layer}: {differs or 'the same Ablation-CAM map in both'} -->")


def _batch(model: str, layer: str, folder: Path, threads: int) -> MethodInput:
    """Export a layer with its head and open both on one image."""
    path, image = folder / f"{layer}.onnx", random_images(SHAPE, 1, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export(
            module(model), path, (image,), layers=layer, extras=["head"], verify="off",
            trace=TorchExport(input_names=[INPUT]),
        )  # fmt: skip

    def opened(file: Path) -> Session:
        return Session(file, "cpu", threads, calm)

    session = opened(path)
    feeds = {INPUT: image.numpy(), session.spec.class_index: np.array([[-1]])}
    heads = Heads(path, session.spec, opened)
    return MethodInput(session, feeds, INPUT, session.spec.layers[0], None, heads)


def _ours(batch: MethodInput, method: str) -> Array:
    """The map of the image, [1, h, w]."""
    # A batch caches fetched outputs; the copy has an empty cache.
    return run_method(replace(batch), method, {}).maps[:, 0]


def _theirs(name: str, layer: str, batch: MethodInput, method: str) -> Array:
    """What pytorch-grad-cam gives, [1, H, W]; it gets a copy, in which it exchanges layers."""
    model: Any = copy.deepcopy(module(name))
    cam: Any = _PEERS[method](model=model, target_layers=[model.get_submodule(layer)])
    cam.batch_size = _PEER_BATCH
    explained = int(batch.fetch([batch.session.spec.classes])[batch.session.spec.classes][0, 0])
    return cam(torch.from_numpy(batch.feeds[INPUT]), [ClassifierOutputTarget(explained)])


def _measure(
    ours: Callable[[str], Array], theirs: Callable[[str], Array], methods: list[str], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds a map, by method and package, in turns."""
    runs = {f"{method}, graftcam": partial(ours, method) for method in ("gradcam", *methods)}
    runs |= {f"{method}, theirs": partial(theirs, method) for method in methods if method in _PEERS}
    for method in {"gradcam", "reciprocam"} & {"gradcam", *methods}:
        ours(method)  # the others take so long that the first runs do not count
    return interleave(runs, rounds, pause=0.5)


def _rows(layer: str, times: dict[str, list[float]]) -> list[list[str]]:
    """A row a method: seconds of both packages, quartiles, and how many times as fast."""
    rows: list[list[str]] = []
    for name, values in times.items():
        method, package = name.split(", ")
        if package == "graftcam":
            peer = times.get(f"{method}, theirs")
            others = (
                [shown(quartiles(peer), 2, 1000), shown(ratio(peer, values), 1)] if peer else []
            )
            seconds = shown(quartiles(values), 3, 1000)
            rows.append([layer, f"`{method}`", seconds, *(others or ["", ""])])
    return rows


if __name__ == "__main__":
    main()
