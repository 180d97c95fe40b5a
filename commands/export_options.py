"""These are the options of `graftcam export`, in groups.

An option has the name of the argument of `graftcam.exporter.export`, if there is one.
"""

from __future__ import annotations

from typing import get_args

import click
from click import option

from ..runtime.settings import Activation, DetectorChoice, ScoreKind
from .common import Numbers
from .completes import completes
from .guarded import Destination, TextOrFile
from .options import (
    FILE,
    axis_options,
    engine_option,
    max_pixels_option,
    output_option,
)
from .sections import RESULTS, SUBJECT, Section, under

DETECTORS = Section("Detectors")
CONTENTS = Section("What the artifact has")
PYTORCH = Section("Models of PyTorch")
PREPARATION = Section("Class names and training transform")
VERIFICATION = Section("Verification")

score_options = under(
    SUBJECT,
    option("--layer", "layers", multiple=True, metavar="NAME",
           help="Target layer; repeatable. Default: chosen automatically."),
    option("--score", type=click.Choice(get_args(ScoreKind)), default="logit",
           show_default=True,
           help="What to explain: the logit; the output itself; the probability or its logarithm; "
                "linear: the inner product with weights that the caller feeds; similarity: of an "
                "embedding, the cosine to texts (CLIP, SigLIP; docs/words.md); channel: the mean "
                "of a channel of the first --layer."),
    output_option,
    option("--activation", type=click.Choice(get_args(Activation)),
           help="Function that converts logits to probabilities, if the graph does not show it."),
    axis_options,
)  # fmt: skip
similarity_options = under(
    Section(
        "Similarity scores",
        "For models that compare images with texts, such as CLIP and SigLIP (docs/words.md).",
    ),
    option("--bank", type=FILE, metavar="FILE.npz",
           help="The bank of texts that `graftcam prompts` wrote, which become "
                "the artifact's classes. Default: texts are fed."),
    option("--scale", type=float, metavar="N",
           help="What the cosine is multiplied with, the exponential of the "
                "model's logit_scale, such as 100. Default: the module's, else the bank's."),
    option("--bias", type=float, metavar="N",
           help="What is added, SigLIP's logit_bias. Default: likewise, or 0."),
    option("--text-encoder", type=FILE, metavar="FILE.onnx",
           help="The text encoder that belongs to the model; banks of others "
                "are refused then. Default: the bank's."),
)  # fmt: skip
detector_options = under(
    DETECTORS,
    option("--detector", type=click.Choice(get_args(DetectorChoice)),
           help="Format of a detector's outputs, where the graph does not show it: dense: a row or "
                "column for each anchor; end_to_end: slots that TopK selects inside; queries: DETR "
                "and its kin; levels: outputs for each level; centres: a heat map of centres; nms: "
                "a NonMaxSuppression inside. off: take the model for a classifier. Default: what "
                "the graph and its metadata show (docs/detectors.md)."),
    option("--context", is_flag=True,
           help="Explain a detector at its backbone's layers, not at its heads' inputs: maps then "
                "show what lies around an object as well."),
)  # fmt: skip
extra_options = under(
    CONTENTS,
    option("--extra", "extras", multiple=True, metavar="NAME",
           help="Add to the artifact; repeatable. head: FILE.head.onnx, the model from the layer "
                "to the score, for methods that rerun it (ablationcam, reciprocam, shapleycam); "
                "input_gradients: for saliency, SmoothGrad and integrated gradients; guided: for "
                "guided backpropagation and the deconvnet, with input_gradients; fullgrad: the map "
                "of FullGrad, likewise; "
                "embed_preprocess: the training transform, so that the graph takes uint8 RGB "
                "images [N, height, width, 3] of any size; a further heatmap, such as "
                "layercam (docs/methods.md); or fuse-refine, fuse-mean, fuse-max, fuse-product: "
                "the layercam maps of several layers in one."),
    option("--profile", type=click.Choice(["default", "web", "webgpu", "cuda", "openvino"]),
           help="Where the artifact will run: anywhere (default), in browsers (web: WebAssembly, "
                "and WebGPU as long as a class is explained; every input must be fed), in WebGPU "
                "alone, with CUDA graphs, or in OpenVINO (every input must be fed). "
                "Default: what --engine needs."),
    option("--name", metavar="NAME", help="Name of the model in the metadata. Default: SOURCE."),
)  # fmt: skip
trace_options = under(
    PYTORCH,
    option("--opset", type=click.IntRange(18), metavar="N", help="ONNX opset. Default: 18."),
    option("--dynamic-batch/--no-dynamic-batch", default=None,
           help="Leave the batch axis open (default), or fix it at 1."),
    option("--dynamic-size/--no-dynamic-size", default=None,
           help="Leave height and width open, for models that take any size. Default: "
                "fixed."),
    option("--input-name", "input_names", multiple=True, metavar="NAME",
           help="Name of an input; repeatable. Default: the parameters of forward."),
    option("--output-name", "output_names", multiple=True, metavar="NAME",
           help="Name of an output; repeatable. Default: the keys of a returned dict, "
                "else PyTorch's choice."),
)  # fmt: skip
transform_options = under(
    PREPARATION,
    option("--labels", multiple=True, type=TextOrFile(), metavar="[OUTPUT=]FILE",
           help="Class names: text, one on a line or number,name; or JSON, by number or name. "
                "Repeatable for several outputs, as OUTPUT=FILE then."),
    option("--preprocess", type=TextOrFile(), metavar="WORDS|FILE|MODULE:NAME",
           shell_complete=completes("preprocess"),
           help="Training transform, if SOURCE has none. Words with commas: imagenet (that of "
                "torchvision), Keras' torch, tf or caffe, unit (levels in [0, 1]) or raw (to 255); "
                "crop, squash or letterbox (letterbox=0: the level of the padding); bgr, grey, "
                "topleft; nearest, bilinear, bicubic; opencv (no antialiasing), pillow. Or a JSON "
                "file: transformers' preprocessor_config.json, timm's config.json, the fields of a "
                "Preprocess. Or a transform in your code."),
    option("--mean", type=Numbers(float),
           help="Mean of each channel, or one for all, for pixels scaled to [0, 1]."),
    option("--std", type=Numbers(float),
           help="Standard deviation of each channel, likewise."),
    option("--resize", type=click.IntRange(1), metavar="PIXELS",
           help="Shorter side before the centre crop. Default: the input's size, with "
                "--preprocess 256/224 of it."),
)  # fmt: skip
gate_options = under(
    VERIFICATION,
    engine_option,
    option("--verify", type=click.Choice(["quick", "full", "off"]), default="quick",
           show_default=True,
           help="quick: compare with PyTorch autograd or finite differences; full: check "
                "everything that `graftcam verify` checks; off: do not compare."),
    option("--verify-seconds", type=float, metavar="N",
           help="How long to verify. Default: 60, with --verify full 600; inf: until it is done."),
    option("--accept-partial", is_flag=True,
           help="Write the artifact even if part of it could not be proven, such as for want of "
                "time; the exit code is then 3. Without this option nothing is written."),
    option("--images", type=FILE, metavar="DIR",
           help="Folder of images: verify on them as well as on random inputs, and show them in "
                "the report."),
    max_pixels_option,
)  # fmt: skip
report_option = under(RESULTS, option(
    "--report", type=Destination(folder=True), metavar="DIR",
    help="Folder for a report page (index.html) and report.json; written even if the export "
         "fails, to show why.",
))  # fmt: skip
