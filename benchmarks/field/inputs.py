"""Inputs for the checks: photographs that scikit-image's wheel brings, and simple sounds.

scikit-image's pictures are in the public domain (astronaut, page) or CC0 (cat).
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .packages import CACHE, Package

PICTURES = Package("scikit-image", "0.26.0")
_FILES = {"cat": "chelsea.png", "astronaut": "astronaut.png", "page": "page.png"}
_FACE = (45, 155, 210, 315)  # of the astronaut: top, left, bottom, right, in pixels
_LINE = (6, 0, 36, 276)  # the first line of the page
_folder = ContextVar("folder", default=CACHE)


def use(folder: Path) -> None:
    """Take pictures from another cache of packages."""
    _folder.set(folder)


@cache
def _read(name: str, folder: Path) -> Any:
    part, _, crop = name.partition(":")
    pixels = cv2.imread(str(PICTURES.folder(folder) / "skimage" / "data" / _FILES[part]))
    assert pixels is not None
    if crop:
        top, left, bottom, right = {"face": _FACE, "line": _LINE}[crop]
        pixels = pixels[top:bottom, left:right]
    return pixels


def picture(
    name: str,
    size: tuple[int, int],
    *,
    mean: Any = 0.0,
    std: Any = 1.0,
    scale: float = 1 / 255,
    bgr: bool = False,
    grey: bool = False,
    last: bool = False,
    batch: int = 1,
) -> Any:
    """Return a picture as a model's input, float32 [batch, channels, height, width].

    Args:
        name: ``cat``, ``astronaut``, ``astronaut:face``, ``page`` or ``page:line``.
        size: Height and width.
        mean: Of each channel, in units after ``scale``.
        std: Likewise.
        scale: Factor of the values from 0 to 255.
        bgr: Blue first.
        grey: One channel.
        last: Channels last.
        batch: Copies.
    """
    pixels = cv2.resize(_read(name, _folder.get()), size[::-1], interpolation=cv2.INTER_AREA)
    if grey:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[..., None]
    elif not bgr:
        pixels = pixels[..., ::-1]
    values = (pixels * scale - np.asarray(mean)) / np.asarray(std)
    values = values if last else values.transpose(2, 0, 1)
    return np.repeat(values[None].astype(np.float32), batch, axis=0)


def imagenet(name: str, size: tuple[int, int], *, bgr: bool = False) -> Any:
    """Return a picture with the usual mean and deviation of photographs."""
    return picture(name, size, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), bgr=bgr)


def voice(samples: int, rate: int = 16000) -> Any:
    """Return a sound like a voice: gliding harmonics in syllables; float32 [1, samples]."""
    seconds = np.arange(samples) / rate
    pitch = 2 * np.pi * np.cumsum(140 + 30 * np.sin(2 * np.pi * 1.3 * seconds)) / rate
    tone = sum(np.sin(number * pitch) / number for number in range(1, 12))
    sound = 0.15 * tone * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * seconds))
    noise = np.random.default_rng(0).standard_normal(samples)
    return (sound + 0.005 * noise)[None].astype(np.float32)


def noise(*shape: int, scale: float = 1.0) -> Any:
    """Return normal noise, for inputs that no picture or sound makes."""
    return (scale * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def ids(*shape: int, high: int, kind: type = np.int64) -> Any:
    """Return random token ids."""
    return np.random.default_rng(0).integers(1, high, shape).astype(kind)
