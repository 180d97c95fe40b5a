"""`fit_preprocess` fits a training transform to the model's input that it feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..checks import check_value, short
from ..errors import InputError
from ..records import faults_of
from ..session.session import Session
from ..spec import Preprocess
from .preprocess_words import Unsized, in_words

_IMAGE_TYPES = ("float32", "float16", "float64", "uint8")
_COLOURS = (1, 3)


@dataclass(frozen=True)
class Fed:
    """An input of a model.

    Attributes:
        dims: Its extents: numbers, names of open ones, or None; without any the rank is unknown.
        dtype: Its type by numpy's name; None: unknown.
    """

    dims: Sequence[int | str | None]
    dtype: str | None

    @property
    def takes_images(self) -> bool:
        """Whether it has the type and the rank of images."""
        return self.dtype in _IMAGE_TYPES and len(self.dims) == 4

    @property
    def takes_photographs(self) -> bool:
        """Whether it takes images of one channel or of three."""
        return self.takes_images and bool({self.dims[1], self.dims[3]} & {*_COLOURS})


def fit_preprocess(preprocess: Preprocess | Unsized, inputs: Mapping[str, Fed]) -> Preprocess:
    """Name the input that the transform feeds, and compare their shapes.

    By default it is the first that takes images, [N, C, H, W]: of text and image, the second.
    A mean and std of one entry stand for all channels of an input that takes three.

    Args:
        preprocess: The transform; `Unsized` gets the size of the input.
        inputs: The model's inputs by name.

    Raises:
        InputError: There is no such input, or it does not take what the transform gives.
    """
    if preprocess.input and preprocess.input not in inputs:
        raise InputError(
            f"the preprocessing names input {preprocess.input!r}; the model has {list(inputs)}"
        )
    images = [name for name, one in inputs.items() if one.takes_images]
    name = preprocess.input or next(iter([*images, *inputs]))
    preprocess, fed = replace(preprocess, input=name), inputs[name]
    if fed.dtype is not None and fed.dtype not in _IMAGE_TYPES:
        raise InputError(
            f"the preprocessing gives float images, input {name!r} takes {fed.dtype}; "
            f"name the input that takes images: the model has {list(inputs)}"
        )
    if isinstance(preprocess, Unsized):
        preprocess = _sized(preprocess, name, fed.dims)
    return _with_channels(preprocess, name, fed.dims) if fed.dims else preprocess


def preprocess_for(session: Session, given: Preprocess | str) -> Preprocess:
    """Return a transform to use with an artifact, in place of the one that it stores, if any.

    Args:
        session: The artifact.
        given: The transform, or words of one (see `in_words`).

    Raises:
        InputError: The artifact's graph contains its own, a word is unknown, or the model's input
            does not take what the transform gives.
    """
    stored = session.spec.preprocess
    if stored is not None and stored.embedded:
        raise InputError(
            f"{session.path.name} has its preprocessing in its graph; leave preprocess "
            "(--preprocess) out"
        )
    check_value("preprocess", given, Preprocess | str)
    transform = in_words(given) if isinstance(given, str) else given
    if stored is not None and not transform.input:
        transform = replace(transform, input=stored.input)
    ports = {
        port.name: Fed(port.shape, None if port.dtype is None else np.dtype(port.dtype).name)
        for port in session.model_inputs
    }
    if not ports:
        raise InputError(
            f"{session.path.name} takes no inputs, and no images; leave preprocess out"
        )
    fitted = fit_preprocess(transform, ports)
    for name, expected in faults_of(fitted):
        value = short(getattr(fitted, name))
        raise InputError(f"the preprocessing cannot have {name}={value}; give {expected}")
    return fitted


def _with_channels(
    preprocess: Preprocess, name: str, dims: Sequence[int | str | None]
) -> Preprocess:
    """Return the transform with the channels of the input that it feeds."""
    last = preprocess.layout == "nhwc"
    colours = dims[-1 if last else 1] if len(dims) == 4 else None
    if len(preprocess.mean) == 1 and colours == 3:
        wide = {name: 3 * list(getattr(preprocess, name)) for name in ("mean", "std")}
        preprocess = replace(preprocess, **wide)
    elif len(preprocess.mean) == 1 and preprocess.channels == "grey":
        preprocess = replace(preprocess, channels=None)  # one channel is luma without saying so
    elif len(preprocess.mean) == 1 and preprocess.channels == "bgr":
        raise InputError(
            f"the preprocessing orders channels as bgr, input {name!r} takes one: {list(dims)}; "
            "leave bgr out"
        )
    given = [len(preprocess.mean), *preprocess.size]
    given = [*given[1:], given[0]] if last else given
    pairs = zip(dims[1:], given, strict=False)
    fits = (not isinstance(have, int) or have == want for have, want in pairs)
    if len(dims) != 4 or not all(fits):
        raise InputError(
            f"the preprocessing gives images [N, {', '.join(map(str, given))}], input "
            f"{name!r} takes {list(dims)}; give a Preprocess of that size, layout and number of "
            "channels"
        )
    return preprocess


def _sized(transform: Unsized, name: str, dims: Sequence[int | str | None]) -> Preprocess:
    """Return the transform for the size of the input that it feeds.

    Raises:
        InputError: The input leaves its size open.
    """
    last = len(dims) == 4 and dims[1] not in _COLOURS and dims[3] in _COLOURS
    sides = dims[1:3] if last else dims[2:4]
    height, width = (side if isinstance(side, int) else None for side in [*sides, None, None][:2])
    if height is None or width is None:
        raise InputError(
            f"input {name!r} takes {list(dims)}, so the size of the images is unknown; give a "
            "Preprocess(size=(height, width), ...), or --shape"
        )
    return transform.sized(height, width, "nhwc" if last else "nchw")
