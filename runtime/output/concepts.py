"""`Concepts` are what a layer's activations consist of, drawn over the images and saved."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RenderError
from ..inputs.image_files import Pixels
from ..inputs.names import file_name
from ..json_text import write_json
from ..writing import protected, staged
from .concept_figure import concept_sheet
from .render import encode_image
from .views import View


@dataclass(frozen=True)
class ImageConcepts:
    """The concepts in one image.

    Attributes:
        name: The image's name.
        view: How it is drawn.
        maps: How strong each concept is at each place, float32 [concepts, *cells]: 1 is its
            strongest place in all images.
        classes: Ids of the K classes that `effects` are about.
        labels: Their names.
        scores: Their scores, float32 [K].
        effects: What each concept adds to each score in a linear approximation, float32
            [concepts, K]: the sum over all places of its activation times the score's gradient.
    """

    name: str
    view: View = field(repr=False)
    maps: NDArray[np.float32] = field(repr=False)
    classes: list[int]
    labels: list[str]
    scores: NDArray[np.float32]
    effects: NDArray[np.float32]

    def strongest(self, concept: int, most: int = 2) -> str:
        """Describe the classes that a concept adds the most to: ``tabby +3.2, lynx +0.4``."""
        effects = self.effects[concept]
        best = np.argsort(-np.abs(effects), kind="stable")[:most]
        return ", ".join(f"{self.labels[k]} {effects[k]:+.2g}" for k in best)


@dataclass(frozen=True)
class Concepts(Sequence[ImageConcepts]):
    """A sequence with the concepts of each image, which share their vectors.

    Attributes:
        images: The entries.
        vectors: What each concept is in the layer's channels, at strength 1: float32
            [concepts, C].
        shares: The part that each concept is of the sum of all, over images, places and channels.
        error: The distance between the activations and what concepts and strengths say of them,
            relative to the activations (Frobenius norm).
        layer: The layer.
        clipped: The part of the activations' magnitude that was negative and was taken for 0.
        sources: The files that it was made from; `save` replaces none of them.
    """

    images: list[ImageConcepts]
    vectors: NDArray[np.float32] = field(repr=False)
    shares: list[float]
    error: float
    layer: str
    clipped: float = 0.0
    sources: tuple[Path, ...] = field(default=(), repr=False)

    def __getitem__(self, index: Any) -> Any:
        return self.images[index]

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, index: int = 0, height: int = 240) -> Pixels:
        """Draw an image, its places coloured by the strongest concept, and each concept alone.

        Args:
            index: Which image.
            height: Height of each drawing in pixels.

        Returns:
            RGB uint8 [H, W, 3].
        """
        one = self.images[index]
        notes = [one.strongest(number) for number in range(len(self.vectors))]
        return concept_sheet(one.view, one.name, one.maps, self.shares, notes, height)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but maps and vectors as plain JSON types."""
        return {
            "layer": self.layer,
            "components": len(self.vectors),
            "shares": self.shares,
            "error": self.error,
            "clipped": self.clipped,
            "images": [
                {
                    "name": one.name,
                    "classes": [
                        {"class": number, "label": label, "score": float(score)}
                        for number, label, score in zip(
                            one.classes, one.labels, one.scores, strict=True
                        )
                    ],
                    "effects": one.effects.astype(float).tolist(),
                }
                for one in self.images
            ],
        }

    def save(self, folder: str | Path, height: int = 240) -> list[Path]:
        """Write ``concepts.json``, ``concepts.npz`` and a picture of each image into a folder.

        The arrays are ``vectors`` [concepts, C], and for each image ``maps.NAME`` and
        ``effects.NAME``.

        Returns:
            The files' paths.

        Raises:
            RenderError: A file cannot be written, or would replace one that was read.
        """
        folder, arrays = Path(folder), {"vectors": self.vectors}
        for one in self.images:
            arrays |= {f"maps.{one.name}": one.maps, f"effects.{one.name}": one.effects}
        text = write_json(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        files = {"concepts.json": text.encode(), "concepts.npz": _npz(arrays)}
        for index, one in enumerate(self.images):
            picture = encode_image(self.draw(index, height), ".png")
            files[file_name(f"{one.name}-concepts", ".png")] = picture
        with protected(self.sources), staged(folder, RenderError) as drafts:
            for name, content in files.items():
                (drafts / name).write_bytes(content)
        return [folder / name for name in files]


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
