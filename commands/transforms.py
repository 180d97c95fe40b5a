"""The training transform that the options of `graftcam export` describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..runtime.spec import Preprocess

if TYPE_CHECKING:
    from ..exporter.source.named import Source

TRANSFORM = ("preprocess", "mean", "std", "resize")


def transform_of(
    options: Mapping[str, Any], source: Source, shapes: Mapping[str, Sequence[int | None]]
) -> Any:
    """Return what the options say, as `export` takes its ``preprocess``.

    Args:
        options: Those of `TRANSFORM`. A single mean and std stand for all channels.
        source: The model.
        shapes: Shapes of inputs, if given.
    """
    from ..exporter.source.preprocessing import read_transform
    from ..runtime.inputs.preprocess_words import Unsized, in_words

    text, mean, std, resize = (options[name] for name in TRANSFORM)
    if (mean is None) != (std is None):
        raise click.UsageError("--mean and --std go together")
    if text is None and mean is None:
        raise click.UsageError(
            "--preprocess and --mean with --std are missing: --resize needs one of them"
        )
    read = None if text is None else read_transform(text)
    if text is not None and not isinstance(read, Unsized):
        if mean is not None or resize is not None:
            raise click.UsageError(
                f"--preprocess {text} is complete; leave --mean, --std, --resize"
            )
        return text if ":" in text else read  # a text that can run is compared as it is
    if mean is not None:
        read = in_words(text or "", mean=mean, std=std)
    assert isinstance(read, Unsized)
    if resize is not None:
        read = read.with_resize(resize)
    size = _size(read, source, _fixed(shapes))
    return read if size is None else read.sized(*size)


def _fixed(shapes: Mapping[str, Sequence[int | None]]) -> Sequence[int] | None:
    """The first shape of an image, without the batch axis, if it is whole."""
    images = (list(shape)[-3:] for shape in shapes.values() if len(shape) in (3, 4))
    shape = next(images, [])
    known = [extent for extent in shape if extent is not None]
    return known if known and len(known) == len(shape) else None


def _size(transform: Any, source: Source, shape: Sequence[int] | None) -> Any:
    """Height, width and layout, where the options or the source say them."""
    channels = {len(transform.fields.get("mean", Preprocess.mean)), 1, 3}
    if shape and len(shape) == 3:
        if shape[0] not in channels and shape[2] in channels:
            return shape[0], shape[1], "nhwc"
        return shape[1], shape[2], "nchw"
    return None if source.preprocess is None else (*source.preprocess.size, "nchw")
