"""The options of `graftcam export`, in groups.

Where an option is an argument of `graftcam.exporter.export`, it is called as that is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
from click import option

from ..runtime.spec import ScoreKind
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
           help="What is explained: the logit; the output as it is; the probability or its "
                "logarithm; linear: the inner product with weights to be fed; channel: the mean "
                "of a channel of the first --layer."),
    option("--scored-output", "output", metavar="NAME",
           help="Output to explain, if the model has several. Default: the first that holds "
                "class scores."),
    option("--class-axis", type=int, default=1, show_default=True, metavar="AXIS",
           help="Axis of the output that the classes lie along."),
    option("--class-offset", type=click.IntRange(0), default=0, show_default=True, metavar="N",
           help="Entries of that axis before the first class, such as a box's 4."),
    option("--activation", type=click.Choice(["softmax", "sigmoid", "none"]),
           help="What turns logits into probabilities, if not in the graph."),
)  # fmt: skip
graph_options = _group(
    option("--opset", type=click.IntRange(18), default=18, show_default=True,
           help="ONNX opset of the artifact."),
    option("--static-batch", is_flag=True, help="Fix the batch axis at 1."),
    option("--dynamic-size", is_flag=True,
           help="Leave height and width open, for models that take any size."),
    option("--profile", type=click.Choice(["default", "web", "cuda"]), default="default",
           show_default=True, help="Where it is to run: anywhere, in browsers (WebGPU; every "
                                   "input must be fed), or with CUDA graphs."),
)  # fmt: skip
output_options = _group(
    option("--input-gradients", is_flag=True,
           help="Also give the gradient of the input: for saliency, SmoothGrad and integrated "
                "gradients."),
    option("--guided", is_flag=True,
           help="Also give guided backpropagation and the deconvnet, and --input-gradients "
                "with them."),
    option("--method", "methods", multiple=True, metavar="NAME",
           help="Further heatmap to compute in the graph, such as layercam (docs/methods.md); "
                "repeatable. The runtime makes them of any artifact."),
    option("--head", is_flag=True,
           help="Also write FILE.head.onnx, the model from the layer to the score, for methods "
                "that rerun it (ablationcam, reciprocam, shapleycam)."),
)  # fmt: skip
transform_options = _group(
    option("--labels", type=click.Path(path_type=Path), metavar="FILE",
           help="Class names: one a line, or JSON."),
    option("--mean", type=Numbers(float), help="Normalisation, pixels scaled to [0, 1]."),
    option("--std", type=Numbers(float), help="Normalisation, pixels scaled to [0, 1]."),
    option("--resize", type=int, metavar="PIXELS",
           help="Shorter side before the centre crop, with --mean and --std. "
                "Default: the input's size."),
    option("--embed-preprocess", is_flag=True,
           help="Put the training transform into the graph: it then takes uint8 RGB pictures "
                "[N, height, width, 3] of any size."),
)  # fmt: skip
gate_options = _group(
    option("--no-verify", is_flag=True, help="Do not compare with PyTorch autograd."),
    option("--full", is_flag=True,
           help="Verify as `graftcam verify` does: every optimisation level of ONNX Runtime, "
                "several batch sizes and numbers of classes, the same bytes again."),
    option("--images", type=click.Path(path_type=Path), metavar="DIR",
           help="Folder of pictures to verify on beside random inputs, and to show in the "
                "report."),
    option("--report", type=click.Path(path_type=Path), metavar="DIR",
           help="Folder for a page to look at (index.html) and report.json; written even if "
                "the verification fails, to show why."),
)  # fmt: skip
