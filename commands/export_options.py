"""The options of `graftcam export`, in groups.

Where an option is an argument of `graftcam.exporter.export`, it is called as that is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from click import option

from ..runtime.settings import Activation, ScoreKind
from .common import Numbers

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _group(*options: Decorator) -> Decorator:
    """Several options as one; the help lists them in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for one in reversed(options):
            command = one(command)
        return command

    return add


score_options = _group(
    option("--layer", "layers", multiple=True, metavar="NAME",
           help="Target layer; repeatable. Default: chosen automatically."),
    option("--score", type=click.Choice(get_args(ScoreKind)), default="logit",
           show_default=True,
           help="What to explain: the logit; the output as it is; the probability or its "
                "logarithm; linear: the inner product with weights to be fed; channel: the mean "
                "of a channel of the first --layer."),
    option("--output", metavar="NAME",
           help="Output to explain, if the model has several. Default: the first that holds "
                "class scores."),
    option("--activation", type=click.Choice(get_args(Activation)),
           help="What turns logits into probabilities, if not in the graph."),
    option("--class-axis", type=int, default=1, show_default=True, metavar="AXIS",
           help="Axis of the output that the classes lie along."),
    option("--class-offset", type=click.IntRange(0), default=0, show_default=True, metavar="N",
           help="Entries of that axis before the first class, such as a box's 4."),
)  # fmt: skip
extra_options = _group(
    option("--extra", "extras", multiple=True, metavar="NAME",
           help="Add to the artifact; repeatable. head: FILE.head.onnx, the model from the layer "
                "to the score, for methods that rerun it (ablationcam, reciprocam, shapleycam); "
                "input_gradients: for saliency, SmoothGrad and integrated gradients; guided: "
                "guided backpropagation and the deconvnet, and input_gradients with them; "
                "embed_preprocess: the training transform, so that the graph takes uint8 RGB "
                "images [N, height, width, 3] of any size; or a further heatmap, such as "
                "layercam (docs/methods.md)."),
    option("--profile", type=click.Choice(["default", "web", "cuda"]), default="default",
           show_default=True, help="Where it is to run: anywhere, in browsers (WebGPU; every "
                                   "input must be fed), or with CUDA graphs."),
    option("--name", metavar="NAME", help="What the metadata calls the model. Default: SOURCE."),
)  # fmt: skip
trace_options = _group(
    option("--opset", type=click.IntRange(18), help="PyTorch: ONNX opset. Default: 18."),
    option("--dynamic-batch/--no-dynamic-batch", default=None,
           help="PyTorch: leave the batch axis open (default), or fix it at 1."),
    option("--dynamic-size/--no-dynamic-size", default=None,
           help="PyTorch: leave height and width open, for models that take any size. Default: "
                "fixed."),
    option("--input-name", "input_names", multiple=True, metavar="NAME",
           help="PyTorch: name of an input; repeatable. Default: the parameters of forward."),
    option("--output-name", "output_names", multiple=True, metavar="NAME",
           help="PyTorch: name of an output; repeatable. Default: the keys of a returned dict, "
                "else PyTorch's choice."),
)  # fmt: skip
transform_options = _group(
    option("--labels", type=click.Path(path_type=Path), metavar="FILE",
           help="Class names: one a line, or JSON."),
    option("--preprocess", type=click.Choice(["imagenet"]),
           help="Training transform, if SOURCE does not bring one: that of torchvision's ImageNet "
                "classifiers."),
    option("--mean", type=Numbers(float), help="Normalisation, pixels scaled to [0, 1]."),
    option("--std", type=Numbers(float), help="Normalisation, pixels scaled to [0, 1]."),
    option("--resize", type=int, metavar="PIXELS",
           help="Shorter side before the centre crop. Default: the input's size, with "
                "--preprocess 256/224 of it."),
)  # fmt: skip
gate_options = _group(
    option("--verify", type=click.Choice(["quick", "full", "off"]), default="quick",
           show_default=True,
           help="quick: compare with PyTorch autograd or finite differences; full: as `graftcam "
                "verify` does, at every optimisation level of ONNX Runtime, with several batch "
                "sizes and numbers of classes, the same bytes again; off: do not compare."),
    option("--images", type=click.Path(path_type=Path), metavar="DIR",
           help="Folder of images to verify on beside random inputs, and to show in the "
                "report."),
    option("--report", type=click.Path(path_type=Path), metavar="DIR",
           help="Folder for a page to look at (index.html) and report.json; written even if "
                "the verification fails, to show why."),
)  # fmt: skip
