"""`animation_file` writes frames, as MP4 or GIF; `animate` those of explanations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Unpack

import cv2
import numpy as np

from ..errors import RenderError
from ..inputs.image_files import Pixels
from ..writing import guard, protected, replace_file
from .explanation_data import ExplanationData
from .figures import caption_of, names_of
from .render import Look, LookOptions
from .render.text import BLACK, ascii_of, shorten, write
from .video import video_file

ANIMATED = (".gif", ".mp4")
STEP, FLOW = 1.0, 8.0
"""Frames a second: of a sweep, whose frames are looked at one by one, and of a clip."""
SLOWEST, FASTEST = 0.05, 60.0

_STRIP, _SIZE = 26, 9.0  # height of a caption, and of its capitals
_HEIGHT = 480  # of a frame's image, in pixels
_NARROWEST = 200  # pixels of a frame: captions need room
_LARGEST_GIF = 1 << 29  # bytes of all frames, which are in memory until the end


@contextlib.contextmanager
def animation_file(path: str | Path, fps: float = FLOW) -> Generator[Callable[[Pixels], None]]:
    """Yield a function that adds a frame, RGB uint8 [H, W, 3], to an animation.

    The first frame's size is that of all; one of another size is fitted into it, on white. The file
    appears at the end, whole or not at all. An MP4 is encoded as frames come. A GIF has 256 colours
    a frame, and its frames stay in memory until the end.

    Args:
        path: The file, ``.mp4`` or ``.gif``.
        fps: Frames a second.

    Raises:
        RenderError: The suffix is another one, the speed is out of range, this OpenCV cannot write
            such files, the file cannot be written, the frames of a GIF are too many, or there are
            none.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in ANIMATED:
        raise RenderError(f"{path}: '{suffix}' is no animation; use .mp4 or .gif")
    if not SLOWEST <= fps <= FASTEST:
        raise RenderError(
            f"fps={fps} is out of range; give {SLOWEST:g} to {FASTEST:g} frames a second"
        )
    written = video_file(path, fps, browsers=True) if suffix == ".mp4" else _gif_file(path, fps)
    with written as write:
        film = _Film(write)
        yield film.add
        if film.size is None:
            raise RenderError(f"{path}: there are no frames to write")


class _Film:
    """Gives all frames the size of the first."""

    def __init__(self, write: Callable[[Pixels], None]) -> None:
        self._write = write
        self.size: tuple[int, int] | None = None

    def add(self, image: Pixels) -> None:
        if self.size is None:
            # Encoders take two pixels at once.
            self.size = (image.shape[0] + image.shape[0] % 2, image.shape[1] + image.shape[1] % 2)
        self._write(_placed(image, self.size))


@contextlib.contextmanager
def _gif_file(path: Path, fps: float) -> Generator[Callable[[Pixels], None]]:
    if not hasattr(cv2, "imencodeanimation"):
        raise RenderError(
            f"{path}: OpenCV {cv2.__version__} writes no GIF; install 4.12 or newer, or write .mp4"
        )
    guard(path, (), RenderError)
    frames = list[Pixels]()

    def add(image: Pixels) -> None:
        frames.append(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8))
        if len(frames) * image.nbytes > _LARGEST_GIF:
            raise RenderError(
                f"{path}: {len(frames)} frames of {image.shape[1]} x {image.shape[0]} pixels are "
                "too many for a GIF; write .mp4"
            )

    yield add
    replace_file(path, _gif(frames, fps), RenderError)


def animate(
    found: Sequence[ExplanationData],
    path: str | Path,
    fps: float | None = None,
    height: int | None = None,
    **look: Unpack[LookOptions],
) -> Path:
    """Write explanations as an animation: a frame for each class of each.

    Explanations of one image, by several methods or layers or of several classes, make a sweep;
    those of a video's images, one after the other, make a video. Of a model whose input is a clip,
    each of the clip's images is a frame, with its part of the map. A caption above each frame says
    what differs: method, layer, class.

    Args:
        found: Explanations, in their order.
        path: The file, ``.mp4`` or ``.gif``.
        fps: Frames a second; None: 1, of clips and of 12 images or more 8.
        height: Height of a frame's image in pixels; None: the image's own, at most 480.
        look: As for `Explanation.draw`.

    Raises:
        RenderError: There is nothing to show, the file cannot be written, or a part of the look is
            unknown.
    """
    chosen = Look(**look)
    if chosen.bar:
        raise RenderError("an animation has no colour bars; leave bar out")
    flowing = any(one.view.frames for one in found) or len({id(one.view) for one in found}) > 11
    speed = fps if fps is not None else FLOW if flowing else STEP
    sources = [source for one in found for source in one.sources]
    with protected(sources), animation_file(path, speed) as add:
        for name, one in zip(names_of(found), found, strict=True):
            for position in range(len(one.classes)):
                caption = caption_of(one, position, name if len(found) > 1 else "")
                for frame in one.draw_frames(position, height or _tall(one), chosen):
                    add(_captioned(frame, caption))
    return Path(path)


def _tall(found: ExplanationData) -> int:
    return min(found.image.shape[0], _HEIGHT)


def _captioned(image: Pixels, caption: str) -> Pixels:
    """Return an image below a line of text, on white."""
    width = max(image.shape[1], _NARROWEST)
    drawn = np.full((_STRIP + image.shape[0], width, 3), 255, np.uint8)
    write(drawn, shorten(ascii_of(caption), width - 8, _SIZE), 4, 17, _SIZE, BLACK)
    drawn[_STRIP:, : image.shape[1]] = image
    return drawn


def _placed(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Return an image in the middle of a frame of ``size``, (height, width), shrunk if it must."""
    scale = min(1.0, size[0] / image.shape[0], size[1] / image.shape[1])
    if scale < 1:
        small = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] == size:
        return image
    frame = np.full((*size, 3), 255, np.uint8)
    top, left = ((whole - part) // 2 for whole, part in zip(size, image.shape[:2], strict=True))
    frame[top : top + image.shape[0], left : left + image.shape[1]] = image
    return frame


def _gif(frames: Sequence[Pixels], fps: float) -> bytes:
    """Return the bytes of a GIF that repeats, of BGR frames."""
    animation: Any = cv2.Animation()
    animation.frames = list(frames)
    animation.durations = [round(1000 / fps)] * len(frames)
    # Each frame has the 256 colours that suit it, dithered; OpenCV's default has the same for all.
    options = [
        cv2.IMWRITE_GIF_QUALITY, 8, cv2.IMWRITE_GIF_DITHER, 2, cv2.IMWRITE_GIF_COLORTABLE, 1
    ]  # fmt: skip
    encode: Callable[..., Any] = cv2.imencodeanimation
    done, data = encode(".gif", animation, options)
    if not done:
        raise RenderError("OpenCV cannot encode the GIF; write .mp4")
    return data.tobytes()
