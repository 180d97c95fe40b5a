"""This module makes the inputs of a verification: random numbers, or images that were given.

Every kind of input is a function of the number of images, the number of cells by which open sizes
grow, and a seed. It gives the model's own inputs by name, the same for the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ...runtime.inputs.image_files import Pixels, read_image
from ...runtime.inputs.preprocess import prepare
from ...runtime.spec import Spec
from ..capture.trial_sizes import GROWTH
from ..errors import VerificationError
from .running import Tensors, best_or_drawn, fixed_batch, model_inputs, required_feeds

Draw: TypeAlias = Callable[[int, int, int], Tensors]
_FEEDS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
_JITTER = 1e-2  # of an image's spread: moves values off a kink, and is not visible
_MOST = 32  # images read of a folder, in the order of their names
_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def random_like(session: Any, examples: Sequence[Any]) -> Draw:
    """Random tensors like the example inputs of a module; a fixed batch keeps its size.

    Open axes beside the batch grow by multiples, a different one each. Integers are the
    example's: only the example shows the range of token ids or indices.
    """

    def draw(count: int, grown: int, seed: int) -> Tensors:
        import torch

        generator = torch.Generator().manual_seed(seed)
        feeds: Tensors = {}
        for argument, example in zip(session.get_inputs(), examples, strict=False):
            if not isinstance(example, torch.Tensor):
                continue
            batch = argument.shape[0] if argument.shape else None
            rows = batch if isinstance(batch, int) else count
            if not example.is_floating_point():
                feeds[argument.name] = torch.cat([example] * rows)[:rows].numpy()
                continue
            shape = [
                extent if isinstance(known, int) else extent + grown * axis
                for axis, (extent, known) in enumerate(
                    zip(example.shape, argument.shape, strict=True)
                )
            ]
            tensor = torch.randn((rows, *shape[1:]), generator=generator)
            feeds[argument.name] = tensor.to(example.dtype).numpy()
        return feeds

    return draw


def random_feeds(
    session: Any, spec: Spec, images: int, generator: np.random.Generator, side: int | None = None
) -> Tensors:
    """Random arrays for the inputs that must be fed.

    Args:
        session: The artifact.
        spec: Its metadata.
        images: Extent of an open batch.
        generator: Draws them.
        side: Extent of the first open axis after the batch; each further one is longer by 32.

    Raises:
        VerificationError: An input has an unknown type or shape.
    """
    feeds = required_feeds(session, spec)
    own = {spec.score_weights, *feeds}
    for argument in session.get_inputs():
        if argument.name in own:
            continue
        shape = list(argument.shape)
        free = [axis for axis, extent in enumerate(shape) if not isinstance(extent, int)]
        for position, axis in enumerate(axis for axis in free if axis and side is not None):
            shape[axis] = (side or 0) + GROWTH * position
        if 0 in free:
            shape[0] = images
        kind = _FEEDS.get(argument.type)
        if kind is None or not all(isinstance(e, int) for e in shape):
            raise VerificationError(
                f"cannot make up input {argument.name!r} ({argument.type} {argument.shape}); "
                "export with verify='off' and check the artifact on your own data"
            )
        drawn = generator.standard_normal(shape)
        if kind is np.uint8:  # images, whose preprocessing is in the graph
            drawn = np.clip(128 + 64 * drawn, 0, 255)
        feeds[argument.name] = drawn.astype(kind)
    if spec.score_weights is not None:
        feeds |= best_or_drawn(session, feeds, spec, images, count=1)
    return feeds


@dataclass(frozen=True)
class Images:
    """Images that were given, and what the model sees of them.

    Attributes:
        names: Their files' names.
        images: RGB uint8 [H, W, 3] each.
        rows: As the artifact takes them: all alike, or of any size where it takes images.
    """

    names: list[str]
    images: list[Pixels] = field(repr=False)
    rows: list[npt.NDArray[Any]] = field(repr=False)

    def draw(self, session: Any, spec: Spec) -> Draw:
        """The images as inputs, and copies with a little noise where more are needed.

        Whether a kink flips at one image is chance; the copies separate chance from error.

        Raises:
            VerificationError: The model takes more than an image.
        """
        inputs = model_inputs(session, spec)
        if len(inputs) != 1:
            raise VerificationError(
                f"the model takes {[one.name for one in inputs]}, images alone do not feed it; "
                "leave --images out"
            )
        kind, batch = _FEEDS[inputs[0].type], fixed_batch(session, spec)

        def draw(count: int, grown: int, seed: int) -> Tensors:
            del grown  # images have their size
            generator = np.random.default_rng(seed)
            count = batch or count
            numbers = seed + np.arange(count)
            if kind is np.uint8:  # one tensor holds one size: an image, and copies of it
                numbers = seed // count + len(self.rows) * np.arange(count)
            rows = np.stack([self.rows[number % len(self.rows)] for number in numbers])
            copies = numbers >= len(self.rows)
            noise = generator.standard_normal(rows.shape) * (_JITTER * rows.std())
            if kind is np.uint8:
                noise = np.rint(noise[..., :1])  # alike for all colours: a grey image stays one
            rows = rows + noise * copies.reshape(-1, *[1] * (rows.ndim - 1))
            return {inputs[0].name: (rows.clip(0, 255) if kind is np.uint8 else rows).astype(kind)}

        return draw


def read_images(folder: Path, spec: Spec) -> Images:
    """Read the images of a folder, the first 32 by name, and bring them to the model's input.

    Raises:
        VerificationError: There is no such folder, no image in it, or no preprocessing stored.
        ImageError: A file cannot be read as an image.
    """
    if not folder.is_dir():
        raise VerificationError(f"no folder {folder}; give --images a folder of PNG or JPEG files")
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())
    if not files:
        raise VerificationError(f"no PNG or JPEG file in {folder}; give --images another folder")
    transform = spec.preprocess
    if transform is None:
        raise VerificationError(
            "the artifact stores no preprocessing, so images cannot be fed; export it with "
            "--mean and --std, or leave --images out"
        )
    images = [read_image(file) for file in files[:_MOST]]
    rows = [prepare(transform, one) for one in images]
    if transform.embedded and len(transform.mean) == 1:
        # Luma has ties, which are rounded either way; grey images have none.
        greys = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in rows)
        rows = [cv2.cvtColor(one, cv2.COLOR_GRAY2RGB) for one in greys]
    return Images([file.name for file in files[:_MOST]], images, rows)
