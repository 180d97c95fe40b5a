"""These functions are measured in a new process; the module imports nothing that they measure.

    python -m benchmarks.child NAME JSON

A line with "map" marks the end of the work; the last line is the result, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from typing import Any


def peak_mb() -> float:
    """Peak resident memory of this process in megabytes (10**6 bytes)."""
    # Only now: it is no part of what was measured.
    from graftcam.runtime.tools.bench.memory import peak_of_process

    peak = peak_of_process()
    if peak is None:
        raise OSError("this system does not tell the peak memory of a process")
    return peak / 1e6


def session_memory(
    path: str | None, threads: int, images: int, classes: int | None
) -> dict[str, float]:
    """Load a file and run it; None: only import what is needed for it.

    Args:
        path: The file.
        threads: Threads within one operator.
        images: Images a run.
        classes: K; None for a file that takes images only.
    """
    import numpy as np

    from .session import open_session

    if path is not None:
        session = open_session(path, threads)
        image = session.get_inputs()[0]
        feeds: dict[str, Any] = {image.name: np.ones((images, *image.shape[1:]), np.float32)}
        names = [output.name for output in session.get_outputs()]
        if classes is not None:
            feeds["class_index"] = np.arange(classes)[None]
            names = [n for n in names if not n.startswith(("activations", "gradients"))]
        for _ in range(3):
            session.run(names, feeds)
    return {"mb": peak_mb()}


def import_time(statement: str) -> dict[str, float]:
    """Milliseconds of an import statement."""
    start = time.perf_counter()
    exec(statement, {})
    return {"ms": 1000 * (time.perf_counter() - start)}


def load_time(path: str, threads: int) -> dict[str, float]:
    """Milliseconds of opening a file in ONNX Runtime as graftcam does, its import left out."""
    for library in ("cv2", "onnxruntime"):
        import_module(library)
    from graftcam.runtime.session.session import Model

    start = time.perf_counter()
    Model(path, "cpu", threads)
    return {"ms": 1000 * (time.perf_counter() - start)}


def first_map_graftcam(path: str, image: str, threads: int) -> dict[str, float]:
    """The artifact, in graftcam's runtime."""
    from graftcam.runtime import Explainer

    Explainer(path, threads=threads).explain(image, classes=[7])
    return _done()


def first_map_peer(weights: str, image: str, layer: str, threads: int) -> dict[str, float]:
    """The same model, in pytorch-grad-cam."""
    import torch
    from PIL import Image
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from torchvision import models

    torch.set_num_threads(threads)
    model = models.resnet50()
    model.load_state_dict(torch.load(weights))
    model.eval()
    transform = models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    batch = transform(Image.open(image).convert("RGB"))[None]
    cam: Any = GradCAM(model=model, target_layers=[model.get_submodule(layer)])
    cam(batch, [ClassifierOutputTarget(7)])
    return _done()


def first_prediction(path: str, threads: int) -> dict[str, float]:
    """The plain file in ONNX Runtime alone, on pixels that need no preparing."""
    import numpy as np

    from .session import open_session

    session = open_session(path, threads)
    session.run(None, {session.get_inputs()[0].name: np.ones((1, 3, 224, 224), np.float32)})
    return _done()


def drawing_times(path: str, rounds: int) -> dict[str, float]:
    """CPU time of decoding, preparing, drawing and encoding a photograph, in milliseconds."""
    from .drawing import times

    return times(path, rounds)


def drawing_memory(path: str) -> dict[str, float]:
    """By how much decoding, drawing and encoding a photograph raise the peak memory."""
    from .drawing import memory

    return memory(path, peak_mb)


def exported(model: str, how: str, path: str, threads: int) -> dict[str, float]:
    """Processor seconds and peak memory of a process that makes a model and exports it.

    Args:
        model: Name of the model.
        how: ``load``: it only makes the model; ``torch``: `torch.onnx.export`; or the level of
            verification of `graftcam.export`.
        path: Where the file goes.
        threads: Of PyTorch; ONNX Runtime decides itself.
    """
    from pathlib import Path

    import torch

    from .contract import export_plain
    from .subjects import SHAPE, module, write_artifact

    torch.set_num_threads(threads)
    net = module(model)
    if how == "torch":
        export_plain(net, SHAPE, Path(path))
    elif how != "load":
        write_artifact(net, Path(path), verify=how)
    return {"s": time.process_time(), "mb": peak_mb()}


def _done() -> dict[str, float]:
    print("map", flush=True)
    return {"mb": peak_mb()}


if __name__ == "__main__":
    task = globals()[sys.argv[1]]
    print(json.dumps(task(**json.loads(sys.argv[2]))), flush=True)
