"""``python -m benchmarks.perturbation`` times perturbation methods and those of pytorch-grad-cam.

Both explain one class of one image with the same model and layer, on the same number of threads,
in turns. pytorch-grad-cam runs the whole model for each channel; graftcam's Ablation-CAM and
Recipro-CAM rerun the head, its Score-CAM reruns the whole model too. Run it on a quiet machine: a
round at ResNet-50's last layer takes some minutes.
"""

from __future__ import annotations

import argparse
import copy
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
from pytorch_grad_cam import AblationCAM, ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from graftcam.exporter import TorchExport, export
from graftcam.runtime.methods.dispatch import run_method
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.heads import Heads
from graftcam.runtime.session.session import Session
from graftcam.runtime.tools.bench.timing import calm, interleave, quartiles, ratio

from .subjects import SHAPE, Subjects
from .torch_peers import compare
from .truth import Array, random_images

Run = Callable[[], Any]
PEERS = {"ablationcam": AblationCAM, "scorecam": ScoreCAM}
PEER_BATCH = 32  # its default for Ablation-CAM
METHODS = ("reciprocam", "ablationcam", "scorecam")


@dataclass(frozen=True)
class Case:
    """One layer of a model, set up in both worlds.

    Attributes:
        batch: The input of graftcam's methods.
        module: The model in PyTorch.
        layer: Module path of the layer.
        target: The explained class.
    """

    batch: MethodInput
    module: nn.Module
    layer: str
    target: int

    def ours(self, method: str) -> Array:
        """The map of the image, [1, h, w]."""
        # A batch caches fetched outputs; the copy has an empty cache.
        return run_method(replace(self.batch), method, {}).maps[:, 0]

    def theirs(self, method: str) -> Array:
        """What pytorch-grad-cam gives, [1, H, W]; it gets a copy, in which it exchanges layers."""
        model = copy.deepcopy(self.module)
        cam = PEERS[method](model=model, target_layers=[model.get_submodule(self.layer)])
        cam.batch_size = PEER_BATCH
        image = torch.from_numpy(self.batch.feeds["x"])
        return cam(image, [ClassifierOutputTarget(self.target)])


def case(module: nn.Module, layer: str, folder: Path, threads: int) -> Case:
    """Export a layer with its head and open both."""
    path = folder / f"{layer}.onnx"
    image = random_images(SHAPE, 1, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export(
            module, path, (image,), layers=layer, trace=TorchExport(input_names=["x"]),
            extras=["head"], verify="off",
        )  # fmt: skip

    def opened(file: Path) -> Session:
        return Session(file, "cpu", threads, calm)

    session = opened(path)
    feeds = {"x": image.numpy(), session.spec.class_index: np.array([[-1]])}
    target = int(session.run(feeds, [session.spec.classes])[session.spec.classes][0, 0])
    heads = Heads(path, session.spec, opened)
    batch = MethodInput(session, feeds, "x", session.spec.layers[0], None, heads)
    return Case(batch, module, layer, target)


def measure(one: Case, methods: list[str], rounds: int) -> dict[str, list[float]]:
    """Milliseconds a map, by method and package, in turns."""
    runs: dict[str, Run] = {"gradcam, graftcam": lambda: one.ours("gradcam")}
    for method in methods:
        runs[f"{method}, graftcam"] = lambda method=method: one.ours(method)
        if method in PEERS:
            runs[f"{method}, pytorch-grad-cam"] = lambda method=method: one.theirs(method)
    for name, run in runs.items():
        if name in ("gradcam, graftcam", "reciprocam, graftcam"):
            run()  # the others take so long that the first runs do not count
    return interleave(runs, rounds, pause=0.5)


def table(layer: str, shape: tuple[int, ...], times: Mapping[str, list[float]]) -> list[str]:
    """A row a method: seconds of both packages, quartiles, and how many times as fast."""
    places = " x ".join(str(extent) for extent in shape)
    rows: list[str] = []
    for name, values in times.items():
        method, package = name.split(", ")
        if package != "graftcam":
            continue
        theirs = times.get(f"{method}, pytorch-grad-cam")
        faster = "" if theirs is None else _quartiles(ratio(theirs, values), 1)
        other = "" if theirs is None else _quartiles(quartiles(theirs), 2, 1000)
        ours = _quartiles(quartiles(values), 3, 1000)
        rows.append(f"| {layer} ({places}) | `{method}` | {ours} | {other} | {faster} |")
    return rows


def _quartiles(values: list[float], digits: int, unit: float = 1) -> str:
    low, middle, high = (f"{value / unit:.{digits}f}" for value in values)
    return f"{middle} ({low} to {high})"


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--layers", nargs="+", default=["layer4", "layer3"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print("| layer | method | graftcam, s | pytorch-grad-cam, s | times as fast |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        module = Subjects(Path(folder), options.threads).module(options.model)
        for layer in options.layers:
            one = case(module, layer, Path(folder), options.threads)
            shape = one.batch.session.outputs[one.batch.layer.activations][1:]
            times = measure(one, options.methods, options.rounds)
            print("\n".join(table(layer, shape, times)), flush=True)  # type: ignore[arg-type]
            if "ablationcam" in options.methods:
                differs = compare(one.theirs("ablationcam"), one.ours("ablationcam"))
                print(f"<!-- {layer}: {differs or 'the same Ablation-CAM map in both'} -->")


if __name__ == "__main__":
    main()
