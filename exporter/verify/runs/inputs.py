"""This module makes the inputs of a verification: random numbers, or images that were given."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from ....runtime.inputs.image_files import Pixels, read_image
from ....runtime.inputs.preprocess import prepare
from ....runtime.limits import MAX_PIXELS
from ....runtime.spec import Spec
from ....runtime.tools.jobs.find import find_images
from ...errors import VerificationError
from ...graph.infer_shapes import GROWTH, OPEN_SIZES
from .artifact import Artifact
from .running import Draw, Tensors

if TYPE_CHECKING:
    from ...source.torch_inputs import ModuleInputs

_FEEDS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
# Ids are tried up to 63, so that few are alike; 0 and 1 are valid wherever a table has two rows.
_IDS_BELOW = (64, 2)
_IDS = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int8)": np.int8,
    "tensor(bool)": np.bool_,
}
_JITTER = 1e-2  # of an image's spread: moves values off a kink, and is not visible
_MOST = 32  # images read of a folder, in the order of their names


def random_inputs(artifact: Artifact, examples: ModuleInputs | Sequence[Any]) -> Draw:
    """Random inputs like the examples of a module, or as a file without examples takes them."""

    def of_file(count: int, grown: int, seed: int) -> Tensors:
        """Of the smallest size that the artifact runs on."""
        del grown
        return inputs_of_sizes(artifact, count, np.random.default_rng(seed))[0]

    draw = _random_like(artifact, examples) if examples else of_file
    return draw if artifact.inside is None else artifact.inside.random(draw)


def _random_like(artifact: Artifact, examples: ModuleInputs | Sequence[Any]) -> Draw:
    """Random tensors like the example inputs of a module; a fixed batch keeps its size.

    Open axes beside the batch grow by multiples, a different one each. Integers are the
    example's: only the example shows the range of token ids or indices.
    """

    def draw(count: int, grown: int, seed: int) -> Tensors:
        import torch

        from ...source.torch_inputs import ModuleInputs

        tensors = ModuleInputs.of(examples).tensors
        generator = torch.Generator().manual_seed(seed)
        feeds: Tensors = {}
        for argument, example in zip(artifact.ports[0], tensors, strict=False):
            known = list(argument.shape)
            if not known:
                feeds[argument.name] = example.numpy()
                continue
            rows = known[0] if isinstance(known[0], int) else count
            if not example.is_floating_point():
                feeds[argument.name] = torch.cat([example] * rows)[:rows].numpy()
                continue
            shape = [
                extent if isinstance(known[axis], int) else extent + grown * axis
                for axis, extent in enumerate(example.shape)
            ]
            tensor = torch.randn((rows, *shape[1:]), generator=generator)
            feeds[argument.name] = tensor.to(example.dtype).numpy()
        return feeds

    return draw


def inputs_of_sizes(
    artifact: Artifact, images: int, generator: np.random.Generator
) -> list[Tensors]:
    """Random inputs; of two sizes that the artifact runs on, where it leaves the size open.

    Args:
        artifact: The artifact.
        images: Extent of an open batch.
        generator: Draws them.

    Raises:
        VerificationError: An input has an unknown type, or it runs on none of the sizes tried.
    """
    if not artifact.open_sizes and not _takes_ids(artifact):
        return [_random_feeds(artifact, images, generator, 0)]
    sides = OPEN_SIZES if artifact.open_sizes else (0,)
    for side, ids in itertools.product(sides, _IDS_BELOW if _takes_ids(artifact) else (0,)):
        tried = [
            _random_feeds(artifact, images, generator, side + more, ids)
            for more in ((0, GROWTH) if artifact.open_sizes else (0,))
        ]
        with contextlib.suppress(VerificationError):
            for feeds in tried:
                artifact.run({**feeds, **artifact.choose(feeds, 0, 1)})
            return tried
    if not artifact.open_sizes:
        raise VerificationError(
            "the artifact runs on no ids made up (0 to 63, 0 and 1); export with verify='off' and "
            "check it on your own data"
        )
    raise VerificationError(
        f"the artifact runs on no image of {', '.join(map(str, OPEN_SIZES))} pixels; fix the "
        "size (--shape), or export with verify='off' and check it on your own data"
    )


def _takes_ids(artifact: Artifact) -> bool:
    return any(argument.type in _IDS for argument in artifact.inputs)


def _random_feeds(
    artifact: Artifact, images: int, generator: np.random.Generator, side: int, below: int = 2
) -> Tensors:
    """Random arrays; the first open axis after the batch is ``side``, each further longer by 32.

    Integers are below ``below``.
    """
    feeds: Tensors = {}
    for argument in artifact.inputs:
        shape = list(argument.shape)
        free = [axis for axis, extent in enumerate(shape) if not isinstance(extent, int)]
        if 0 in free:
            shape[free.pop(0)] = images
        for position, axis in enumerate(free):
            shape[axis] = side + GROWTH * position
        if argument.type in _IDS:
            ids = generator.integers(0, below, shape)
            feeds[argument.name] = ids.astype(_IDS[argument.type])
            continue
        kind = _FEEDS.get(argument.type)
        if kind is None:
            raise VerificationError(
                f"cannot make up input {argument.name!r} ({argument.type} {argument.shape}); "
                "export with verify='off' and check the artifact on your own data"
            )
        drawn = generator.standard_normal(shape)
        if kind is np.uint8:  # images, whose preprocessing is in the graph
            drawn = np.clip(128 + 64 * drawn, 0, 255)
        feeds[argument.name] = drawn.astype(kind)
    return feeds


@dataclass(frozen=True)
class Images:
    """Images that were given, and what the model sees of them.

    Attributes:
        names: Their files' paths in the folder.
        images: RGB uint8 [H, W, 3] each.
        rows: As the artifact takes them: all alike, or of any size where it takes images.
    """

    names: list[str]
    images: list[Pixels] = field(repr=False)
    rows: list[npt.NDArray[Any]] = field(repr=False)

    def draw(self, artifact: Artifact) -> Draw:
        """The images as inputs, and copies with a little noise where more are needed.

        Whether a kink flips at one image is chance; the copies separate chance from error.

        Raises:
            VerificationError: The model takes more than an image.
        """
        inputs = artifact.inputs
        if len(inputs) != 1:
            raise VerificationError(
                f"the model takes {[one.name for one in inputs]}, images alone do not feed it; "
                "leave --images out"
            )
        kind, batch = _FEEDS[inputs[0].type], artifact.batch

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


def read_images(folder: Path, spec: Spec, max_pixels: int = MAX_PIXELS) -> Images:
    """Read the first 32 images of a folder by path, and bring them to the model's input.

    Args:
        folder: The folder.
        spec: The artifact's metadata.
        max_pixels: Number of pixels that an image may have.

    Raises:
        VerificationError: No preprocessing is stored.
        ImageError: There is no such folder, no image in it, or a file cannot be read as one.
    """
    names = find_images(folder, folder)[0][:_MOST]
    transform = spec.preprocess
    if transform is None:
        raise VerificationError(
            "the artifact stores no preprocessing, so images cannot be fed; export it with "
            "--mean and --std, or leave --images out"
        )
    images = [read_image(folder / name, max_pixels=max_pixels) for name in names]
    rows = [prepare(transform, one) for one in images]
    if transform.embedded and transform.is_grey:
        # Luma has ties, which are rounded either way; grey images have none.
        greys = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in rows)
        rows = [cv2.cvtColor(one, cv2.COLOR_GRAY2RGB) for one in greys]
    return Images(names, images, rows)
