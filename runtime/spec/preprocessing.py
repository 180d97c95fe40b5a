"""`Preprocess` is the part of an artifact's metadata about the training transform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ..bounds import Length, Range, Side
from ..checks import matches
from ..errors import InputError
from ..records import Fault, Record

Interpolation = Literal["nearest", "bilinear", "bicubic"]
ResizeMode = Literal["shorter", "longer", "exact", "fit", "cover"]
Anchor = Literal["lower", "top_left"]
Channels = Literal["bgr", "grey"]
Scale = Annotated[float, Range(1e-12, 1e12)]  # beyond it float32 overflows
Mean = Annotated[float, Range(-1e12, 1e12)]
_SIDES = Annotated[Sequence[Annotated[float, Range(0, 1 << 31)]], Length(1)]


@dataclass(frozen=True)
class Preprocess(Record):
    """The training transform from an RGB uint8 image to the model's input.

    Resize, then crop (with padding if the image is smaller), then ``(pixel * scale - mean) / std``.
    The defaults are those of torchvision's ImageNet classifiers. Fields after ``layout`` are not in
    the JSON where they are None; a runtime that does not know one refuses the artifact.

    Attributes:
        input: Name of the graph input that takes the image; ``""`` for the first that takes one.
        size: Height and width of the model's input.
        resize: Target of the resize; None for no resize, ``()`` for 256/224 of the size.
        resize_mode: ``shorter``: the shorter side becomes ``resize[0]`` with the same aspect ratio,
            and the other side is rounded down (torchvision); ``longer``: the same with the longer
            side, and the other side is rounded (timm); ``exact``: both sides become ``resize``;
            ``fit``, ``cover``: the aspect ratio stays, and the image becomes the largest inside
            ``resize``, or the smallest around it, with both sides rounded (letterbox; timm).
        interpolation: Filter of the resize, antialiased as in Pillow and torchvision.
        scale: Factor on the uint8 values before normalisation.
        mean: Per channel, in units after ``scale``; one entry means a greyscale
            model, or to an export the same for all channels.
        std: Per channel, likewise.
        layout: Axis order of the model's input.
        embedded: The graph contains the transform, and ``input`` takes unchanged images: RGB
            uint8 [N, height, width, 3] of any size.
        longest: For ``shorter``: the most that the longer side may become; the shorter one then
            becomes smaller, rounded down (``max_size`` of torchvision).
        antialias: False: a resize to a smaller size does not average (OpenCV, TensorFlow).
        anchor: Where the crop lies, and the image in its padding. None: in the centre, halves are
            rounded to even (torchvision); ``lower``: likewise, halves are rounded down
            (transformers); ``top_left``: at the first row and column.
        fill: Level of the padding, 0 to 255, one or for each channel; None: black.
        channels: Channels of the model's input: ``bgr``; ``grey``: the luma in each of them. None:
            RGB, or with one ``mean`` the luma.

    Raises:
        InputError: A number is given in place of a sequence.
    """

    input: str = ""
    size: Annotated[Sequence[Side], Length(2, 2)] = (224, 224)
    resize: Annotated[Sequence[Side], Length(1, 2)] | None = ()
    resize_mode: ResizeMode = "shorter"
    interpolation: Interpolation = "bilinear"
    scale: Scale = 1 / 255
    mean: Sequence[Mean] = (0.485, 0.456, 0.406)
    std: Sequence[Scale] = (0.229, 0.224, 0.225)
    layout: Literal["nchw", "nhwc"] = "nchw"
    embedded: bool | None = None
    longest: Side | None = None
    antialias: Literal[False] | None = None
    anchor: Anchor | None = None
    fill: Sequence[Annotated[int, Range(0, 255)]] | None = None
    channels: Channels | None = None

    def __post_init__(self) -> None:
        """Store lists, as JSON gives them, and the resize that ``()`` stands for."""
        for name in ("size", "resize", "mean", "std", "fill"):
            value: Any = getattr(self, name)
            if value is not None and not hasattr(value, "__iter__"):
                raise InputError(
                    f"{name}={value!r} is a single number; give size=(height, width), "
                    "resize=(shorter side,), and mean, std and fill with a number for each channel"
                )
            object.__setattr__(self, name, None if value is None else list(value))
        if self.resize == [] and not matches(self.size, _SIDES):
            object.__setattr__(self, "resize", None)  # `faults_of` refuses such a size
        elif self.resize == []:
            sides = [round(side * 256 / 224) for side in self.size]
            one_side = self.resize_mode in ("shorter", "longer")
            object.__setattr__(self, "resize", [min(sides)] if one_side else sides)

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        channels = len(self.mean)
        if channels not in (1, 3):
            yield "mean", "1 or 3 numbers"
        if len(self.std) != channels:
            yield "std", f"{channels} numbers, as many as mean"
        if self.fill is not None and len(self.fill) not in (1, channels):
            yield "fill", f"one level, or {channels}, as many as mean"

    @property
    def is_grey(self) -> bool:
        """Whether the model sees the luma of the image."""
        return len(self.mean) == 1 or self.channels == "grey"
