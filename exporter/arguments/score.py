"""`score_of` checks what an export explains, and returns it as one `Score`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

from ...runtime.checks import described, matches
from ...runtime.settings import WEIGHTED, Activation, CosineScale, Score, ScoreKind
from ...runtime.settings import Bias as ScoreBias
from ..errors import ScoreError, in_line
from ..source.texts import encoder_digest
from .values import checked_names, is_int, one_of


def score_of(score: object) -> Score:
    """Check what is explained: a kind, or a `Score`.

    Raises:
        ScoreError: It is neither, or one of its fields has a value that it cannot have.
    """
    if isinstance(score, str):
        score = Score(score)  # pyright: ignore[reportArgumentType]
    if not isinstance(score, Score):
        raise ScoreError(f"score is a kind or a Score(...), not {in_line(score)}")
    one_of("score", score.kind, get_args(ScoreKind), ScoreError)
    if score.activation is not None:
        one_of("activation", score.activation, get_args(Activation), ScoreError)
    if score.class_axis is not None and not is_int(score.class_axis):
        raise ScoreError(f"class_axis={score.class_axis!r} is no axis; give an integer")
    offset = score.class_offset
    if offset is not None and (not is_int(offset) or offset < 0):
        raise ScoreError(f"class_offset={score.class_offset!r} counts entries; give 0 or more")
    given = (score.scale, score.bias, score.text_encoder)
    if score.kind != "similarity" and any(one is not None for one in given):
        raise ScoreError(
            f"scale, bias and text_encoder are those of a similarity, not of {score.kind!r}; give "
            "score='similarity' (--score similarity), or leave them out"
        )
    return replace(
        score,
        output=_outputs(score),
        scale=_number("scale", score.scale, CosineScale),
        bias=_number("bias", score.bias, ScoreBias),
        text_encoder=encoder_digest(score.text_encoder),
    )


def _outputs(score: Score) -> str | list[str] | None:
    """The scored output's name, several names, or None.

    Raises:
        ScoreError: A name is given twice, or the score goes with one output only.
    """
    given = score.output
    if given is None or isinstance(given, str):
        return given
    names = checked_names("output", given, ScoreError) or []
    if len(names) < 2:
        return names[0] if names else None
    if len(set(names)) < len(names):
        raise ScoreError(f"an output is named twice: {names}; name each once")
    if score.kind in (*WEIGHTED, "channel"):
        raise ScoreError(f"a {score.kind} score is not one of several outputs; name one of {names}")
    for field in ("class_axis", "class_offset"):
        if getattr(score, field) is not None:
            raise ScoreError(
                f"{field}={getattr(score, field)} is that of one output, and output names "
                f"{names}; leave {field} (--{field.replace('_', '-')}) out where the outputs show "
                "it themselves, or export them one by one"
            )
    return names


def _number(name: str, value: object, kind: Any) -> float | None:
    """A number within its bounds.

    Raises:
        ScoreError: It is none.
    """
    number = float(value) if is_int(value) else value  # pyright: ignore[reportArgumentType]
    if number is None or matches(number, kind):
        return number  # pyright: ignore[reportReturnType]
    raise ScoreError(f"{name}={in_line(value)}; give {described(kind)}")
