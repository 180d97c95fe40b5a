"""`read_mask_files` reads masks: an image for each photograph, black where the object is not.

``photo.png`` is the mask of ``photo.jpg``, of whichever class is asked about. A folder in front of
it, as in ``dog/photo.png``, is the label of its class; folders of photographs may follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ....errors import ImageError, TruthError
from ....inputs.image_names import SUFFIXES
from ....inputs.region import read_mask
from ....limits import UNPACKED_BYTES
from .names import listed
from .photographs import stem_of, unpaired
from .subject import Subject
from .truth import ANY_CLASS, Annotations, Truth

_LOSSY = (
    ".avif",
    ".jfif",
    ".jp2",
    ".jpe",
    ".jpeg",
    ".jpg",
    ".webp",
)  # their black is only nearly so
MASK_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix not in _LOSSY)
"""Endings of the names of mask files, in lower case."""

_MOST_PARTS = 10_000  # of a mask; more are noise


class MaskFiles(Annotations):
    """Masks of photographs, which are read when they are asked for."""

    kind = "masks"
    has_masks = True

    def __init__(
        self, source: Path, masks: dict[str, dict[int, list[str]]], unknown: list[str],
        max_pixels: int,
    ) -> None:  # fmt: skip
        """Take the files by photograph and class, relative to their folder."""
        self.unknown = unknown
        self._source, self._masks, self._max_pixels = source, masks, max_pixels

    @property
    def photographs(self) -> list[str]:
        """The photographs that have masks, sorted."""
        return sorted(self._masks)

    def of(self, path: str, size: tuple[int, int]) -> dict[int, Truth]:
        """Return what is drawn on one photograph; see `Annotations.of`.

        A box lies around each connected part of a mask. An entirely black mask is none.
        """
        classes = self._masks.get(path, {})
        if len(classes) * size[0] * size[1] > UNPACKED_BYTES:
            raise TruthError(
                f"{path} has {len(classes)} masks, which need more than "
                f"{UNPACKED_BYTES / 1e9:.1f} GB; shrink it and them"
            )
        masks = {place: self._mask(names, path, size) for place, names in classes.items()}
        return {place: Truth(boxes_of(mask), mask) for place, mask in masks.items() if mask.any()}

    def _mask(self, names: Sequence[str], path: str, size: tuple[int, int]) -> NDArray[np.bool_]:
        whole = np.zeros(size, np.bool_)
        for name in names:
            try:
                mask = read_mask(self._source / name, self._max_pixels)
            except ImageError as error:
                raise TruthError(str(error)) from error
            if mask.shape != size:
                raise TruthError(
                    f"{self._source / name} has {mask.shape[1]} x {mask.shape[0]} pixels, and "
                    f"{path} has {size[1]} x {size[0]} (upright, as its EXIF data say); give a "
                    "mask of the photograph's size"
                )
            whole |= mask
        return whole


def boxes_of(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the boxes [B, 4] around a mask's connected parts; around all if they are very many."""
    count, _, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    boxes = np.asarray(found)[1:, :4].astype(np.float64)  # left, top, width, height
    boxes[:, 2:] += boxes[:, :2]
    if count - 1 > _MOST_PARTS:
        boxes = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])[None]
    return boxes


def read_mask_files(source: Path, files: Sequence[str], subject: Subject) -> Annotations:
    """Find the mask files of photographs.

    Args:
        source: The folder.
        files: The images in it, relative to it with ``/``.
        subject: Whose annotations are wanted.

    Raises:
        TruthError: The files are of no photograph, or their folders are no labels.
    """
    lossless = [name for name in files if name.lower().endswith(MASK_SUFFIXES)]
    if files and not lossless:
        raise TruthError(
            f"the masks in {source} ({listed(files)}) are in formats that change black; save them "
            "as PNG"
        )
    by_stem: dict[str, list[str]] = {}
    for photograph in subject.photographs:
        by_stem.setdefault(stem_of(photograph), []).append(photograph)
    found: list[tuple[str, str, str]] = []  # file, photograph, the folder that names its class
    for name in lossless:
        stem = stem_of(name)
        folder, slash, inner = stem.partition("/")
        whole, rest = by_stem.get(stem), by_stem.get(inner) if slash else None
        if whole:  # the folder is the photograph's own; it may be a label as well
            known = slash and subject.names.find(folder) is not None
            found.append((name, _only(name, whole), folder if known else ""))
        elif rest:
            found.append((name, _only(name, rest), folder))
    if not found:
        raise unpaired(lossless, subject.photographs, source, subject.folder)
    ids, unknown = subject.names.find_all((label for _, _, label in found if label), source)
    masks: dict[str, dict[int, list[str]]] = {}
    for name, photograph, label in found:
        place = ids.get(label) if label else ANY_CLASS
        if place is not None:
            masks.setdefault(photograph, {}).setdefault(place, []).append(name)
    return MaskFiles(source, masks, unknown, subject.max_pixels)


def _only(name: str, photographs: Sequence[str]) -> str:
    if len(photographs) > 1:
        raise TruthError(
            f"'{name}' could be the mask of {listed(photographs)}; rename all but one of them"
        )
    return photographs[0]
