"""`Verify` is how an export is verified: how thoroughly, how long, and what a part is worth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

from ....runtime.limits import MAX_PIXELS
from ....runtime.session.engines.table import start_engine
from ...errors import SettingsError, in_line
from .deadline import Deadline

Thoroughness: TypeAlias = Literal["quick", "full", "off"]
SECONDS: dict[Thoroughness, float] = {"quick": 60.0, "full": 600.0, "off": 0.0}
"""How long a verification works by default."""


@dataclass(frozen=True)
class Verify:
    """How an export is verified.

    Attributes:
        level: ``quick``: compare with PyTorch autograd (or finite differences) at ONNX Runtime's
            default settings; ``full``: as `graftcam verify` does, at every optimisation level, with
            several batch sizes and numbers of classes, and by a second export whose bytes must be
            the same; ``off``: do not compare.
        seconds: How long it works; None: 60, with ``full`` 600. ``math.inf``: until it is done. It
            ends at the next step; exports and other steps that cannot be cut short come on top.
        partial: Write the artifact even if only part of it could be proven. It then says so in its
            metadata; without it nothing is written, and `UnprovenError` says what is missing. An
            artifact that is shown to be wrong is never written.
        max_pixels: Number of pixels that an image to verify on may have.
        engine: What runs the artifact, of `runtime.session.engines.table`, or a provider of ONNX
            Runtime; None: its CPU provider. It has no levels of optimisation.
    """

    level: Thoroughness = "quick"
    seconds: float | None = None
    partial: bool = False
    max_pixels: int = field(default=MAX_PIXELS, compare=False)
    engine: str | None = field(default=None, compare=False)

    def deadline(self) -> Deadline:
        """The end of a verification that begins now."""
        return Deadline(SECONDS[self.level] if self.seconds is None else self.seconds)


OFF = Verify("off")


def checked(verify: object, engine: str | None = None) -> Verify:
    """The settings that a user gave: whole, as a level, or as True (quick) or False (off).

    Args:
        verify: The settings.
        engine: What runs the artifact, unless the settings name it.

    Raises:
        SettingsError: It is another value, or has one that is unknown.
        SessionError: The engine is unknown, not installed, or has no device.
    """
    if isinstance(verify, bool):
        verify = "quick" if verify else "off"
    found = verify if isinstance(verify, Verify) else Verify(verify)  # pyright: ignore[reportArgumentType]
    levels = get_args(Thoroughness)
    if found.level not in levels:
        raise SettingsError(
            f"unknown verify {in_line(found.level)}; there is {', '.join(levels)}, or Verify(...)"
        )
    seconds = found.seconds
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and seconds > 0):
        raise SettingsError(f"seconds={in_line(seconds)}: give a positive number, or None")
    if found.partial not in (True, False):
        raise SettingsError(f"partial={in_line(found.partial)}: give True or False")
    if not _is_count(found.max_pixels):
        raise SettingsError(
            f"max_pixels={in_line(found.max_pixels)}: give a whole number from 1 on"
        )
    if found.engine is None and engine is not None:
        found = replace(found, engine=engine)
    if found.engine is not None and found.level != "off":
        start_engine(found.engine)
    if found.level == "off" and (found.partial or seconds is not None):
        raise SettingsError("nothing is verified with 'off'; leave seconds and partial out")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
