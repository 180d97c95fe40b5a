"""These options of `graftcam explain` say what is asked about each image."""

from __future__ import annotations

import click
from click import option

from ..runtime.methods.fusion import FUSES
from .boxes import BOXES, box_options
from .common import Setting
from .completes import completes
from .further_inputs import input_option
from .options import FILE, LAYER_NAMES, class_option, explained_output_option
from .sections import INPUTS, METHOD, SUBJECT, under

subject_options = under(
    SUBJECT,
    class_option,
    option("--top", type=click.IntRange(1), default=1, show_default=True, metavar="N",
           help="Number of best-ranked classes to explain, without --class."),
    explained_output_option,
    option("--score-weights", type=FILE, metavar="FILE.npy",
           help="Linear scores: weights of the output, [K, *output] or [*output], instead of "
                "classes."),
)  # fmt: skip
method_options = under(
    METHOD,
    option("--method", "methods", multiple=True, metavar="ID",
           shell_complete=completes("method"),
           help="Method that makes the maps; repeatable. Default: gradcam; of detectors the one "
                "that the artifact computes."),
    option("--option", "settings", multiple=True, type=Setting(),
           help="An option of the methods, such as samples=50; repeatable. Every method that takes "
                "it gets it."),
    option("--layer", "layers", multiple=True, metavar="NAME",
           shell_complete=completes("layer"),
           help=f"Target layer: {LAYER_NAMES}; repeatable: their maps are fused."),
    option("--fuse", type=click.Choice(FUSES), default="mean",
           show_default=True,
           help="How the maps of several --layer become one: their mean, the largest, the product, "
                "or refine (RefineCAM): the product of maps stretched from 0 to 1."),
    option("--augment", multiple=True, type=click.Choice(["flip", "scale"]),
           help="Average the maps over changed copies of the image: flipped, or with scaled "
                "values; repeatable."),
)  # fmt: skip
input_options = under(
    INPUTS,
    input_option,
    option("--over", metavar="INPUT",
           help="The input that maps are drawn over, if the model has several images. Default: "
                "the one that the layer looks at."),
    option("--tokens", type=FILE, metavar="FILE",
           help="Texts of token ids: vocab.txt with a text on each line, or vocab.json. Default: "
                "the ids."),
)  # fmt: skip
region_options = under(
    BOXES,
    box_options,
    option("--region", type=FILE, metavar="MASK",
           help="Of a segmentation: explain the class in the part of the image (or of the output) "
                "that is not black in this PNG."),
)  # fmt: skip
