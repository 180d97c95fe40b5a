"""This module checks the arguments of `export` and returns them as one record.

It refuses a wrong value before any work is done.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ParamSpec, TypedDict, TypeVar, cast, get_args

from ..runtime.checks import described, matches
from ..runtime.inputs.bank import Bank
from ..runtime.methods.table import ATTENTION_METHODS, METHODS
from ..runtime.session.engines.table import profile_of_engine
from ..runtime.settings import (
    WEIGHTED,
    Activation,
    CosineScale,
    DetectorChoice,
    Score,
    ScoreKind,
    TorchExport,
)
from ..runtime.settings import Bias as ScoreBias
from .artifact.embed_preprocess import check_embeddable
from .errors import LayerError, ScoreError, SettingsError, in_line
from .graph.profiles import ProfileName, profile_of
from .heatmap.baked import FORMULAS
from .heatmap.fused import FUSING
from .source.labels import labels_for
from .source.preprocessing import as_preprocess
from .source.settings import ExportSettings
from .source.texts import bank_for, encoder_digest

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

FLAGS = ("head", "input_gradients", "guided", "fullgrad", "embed_preprocess", "attention")
_EXTRA_FOR = {
    "head": "head", "input_gradients": "input_gradients", "guided_gradients": "guided",
    "deconvnet_gradients": "guided", "fullgrad": "fullgrad",
}  # fmt: skip
EXTRAS = (*FLAGS, *FORMULAS, *ATTENTION_METHODS, *FUSING)
_OLDEST_OPSET = 18
_DISTINCT = ("input_names", "output_names")  # of one graph
_NAMES = {"layers": "'layer4'", "output": "'logits'"}


class RecordFields(TypedDict, total=False):
    """Fields of `Score` and `TorchExport` that `export` also takes as keywords of its own."""

    output: str | Sequence[str] | None
    activation: Activation | None
    class_axis: int | None
    class_offset: int | None
    scale: float | None
    bias: float | None
    text_encoder: str | Path | None
    opset: int
    dynamic_batch: bool
    dynamic_size: bool
    input_names: Sequence[str] | None
    output_names: Sequence[str] | None


def refuse_unknown(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let ``function`` say what to write instead of a keyword that it does not have."""
    known = inspect.signature(function).parameters.values()
    names = [parameter.name for parameter in known if parameter.kind != parameter.VAR_KEYWORD]
    takes = {*names, *RecordFields.__annotations__}

    @functools.wraps(function)
    def checked(*args: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        for name, value in keywords.items():
            if name not in takes:
                remedy = _remedy(name, value, takes)
                raise TypeError(f"{function.__name__}() has no argument {name!r}; {remedy}")
        return function(*args, **keywords)

    return checked


def with_fields(
    score: ScoreKind | Score, trace: TorchExport | None, given: RecordFields
) -> tuple[ScoreKind | Score, TorchExport | None]:
    """Put fields given as keywords into the score and the trace, which keep their others."""
    of_score = {f.name: given[f.name] for f in fields(Score) if f.name in given}
    of_trace = {f.name: given[f.name] for f in fields(TorchExport) if f.name in given}
    if of_score:
        score = replace(score if isinstance(score, Score) else Score(score), **of_score)
    if of_trace:
        trace = replace(TorchExport() if trace is None else trace, **of_trace)
    return score, trace


def _remedy(name: str, value: object, names: Collection[str]) -> str:
    if name == "methods" or name in FLAGS:
        given = [name] if name in FLAGS else [value] if isinstance(value, str) else _items(value)
        return f"give extras={{{', '.join(map(repr, given or []))}}}" if value else "leave it out"
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"


def check_images(settings: ExportSettings, *, used: bool, may_follow: bool = False) -> None:
    """Refuse images that nothing would look at, or that cannot be fed.

    Args:
        settings: With the training transform.
        used: Whether there is a verification or a report.
        may_follow: The transform may still follow from a file's metadata.

    Raises:
        SettingsError: There is neither a verification nor a report, or no training transform.
    """
    if not used:
        raise SettingsError(
            "images are to verify on and to show in a report; leave images (--images) out, or give "
            "verify='quick' or a report"
        )
    if settings.preprocess is None and not may_follow:
        raise SettingsError(
            "images cannot be fed without the training transform; give preprocess=... "
            "(--preprocess, or --mean and --std), or leave images (--images) out"
        )


def profile_for(profile: ProfileName | None, engine: str | None) -> ProfileName:
    """Return the profile of an export: the one that was given, or the one that its engine needs.

    Raises:
        SettingsError: The engine needs another one.
    """
    needed = profile_of_engine(engine)
    if profile is not None and needed is not None and profile != needed:
        raise SettingsError(
            f"profile {in_line(profile)} is not for engine {engine!r}; leave it out, or give "
            f"{needed!r}"
        )
    return profile or profile_of(needed or "default").name


def settings_of(
    layers: str | Sequence[str] | None,
    score: ScoreKind | Score,
    labels: Any,
    preprocess: Any,
    extras: str | Collection[str],
    profile: ProfileName,
    trace: TorchExport | None,
    name: str | None,
    shapes: Any = None,
    detector: DetectorChoice | None = None,
    context: bool = False,
    bank: Bank | str | Path | None = None,
) -> ExportSettings:
    """Check the arguments of `export`, and return them as one record.

    Raises:
        GraftcamError: One has a value or a type that it cannot have; the message says which.
    """
    profile_of(profile)
    scored, named = _score(score), _layers(layers)
    if named and "attention" in named:  # what names all of them is an extra
        named = [name for name in named if name != "attention"] or None
        extras = [*_extras(extras), "attention"]
    texts = bank_for(bank, scored, labels)
    settings = ExportSettings(
        score=scored,
        extras=_extras(extras),
        layers=named,
        trace=_trace(trace),
        shapes=_shapes(shapes),
        labels=labels_for(labels, scored.outputs) if texts is None else texts.names,
        preprocess=as_preprocess(preprocess),
        profile=profile,
        name=_text("name", name, SettingsError),
        detector=_detector(detector),
        context=context or None,
        bank=texts,
    )
    kind = settings.score.kind
    if kind == "channel" and (settings.score.output is not None or not settings.layers):
        raise ScoreError(
            "a channel score is one of a layer, not of an output; name the layer with `layers`"
        )
    if "head" in settings.extras and kind in (*WEIGHTED, "channel") and texts is None:
        raise ScoreError(f"a {kind} score has no head; leave 'head' out of extras")
    if "embed_preprocess" in settings.extras:
        check_embeddable(settings.preprocess)
    return settings


def _number(name: str, value: object, kind: Any) -> float | None:
    """A number within its bounds.

    Raises:
        ScoreError: It is none.
    """
    number = float(value) if _is_int(value) else value  # pyright: ignore[reportArgumentType]
    if number is None or matches(number, kind):
        return number  # pyright: ignore[reportReturnType]
    raise ScoreError(f"{name}={in_line(value)}; give {described(kind)}")


def _detector(value: Any) -> DetectorChoice | None:
    choices = get_args(DetectorChoice)
    if value is not None and value not in choices:
        raise SettingsError(
            f"detector={value!r}; give one of {', '.join(choices)}, or leave it out"
        )
    return value


def _score(score: object) -> Score:
    if isinstance(score, str):
        score = Score(score)  # pyright: ignore[reportArgumentType]
    if not isinstance(score, Score):
        raise ScoreError(f"score is a kind or a Score(...), not {in_line(score)}")
    _chosen("score", score.kind, get_args(ScoreKind), ScoreError)
    if score.activation is not None:
        _chosen("activation", score.activation, get_args(Activation), ScoreError)
    if score.class_axis is not None and not _is_int(score.class_axis):
        raise ScoreError(f"class_axis={score.class_axis!r} is no axis; give an integer")
    offset = score.class_offset
    if offset is not None and (not _is_int(offset) or offset < 0):
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
    names = _names("output", given, ScoreError) or []
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


def _extras(extras: object) -> list[str]:
    """The extras in alphabetical order: a set has no order, and the bytes must not vary."""
    given = [extras] if isinstance(extras, str) else _items(extras)
    if given is None or not all(isinstance(one, str) for one in given):
        raise SettingsError(f"extras takes names such as 'head', not {in_line(extras)}")
    for name in given:
        outside = name in METHODS and not METHODS[name].is_formula
        if outside and name not in (*FLAGS, *ATTENTION_METHODS):
            needs = [_EXTRA_FOR[need] for need in METHODS[name].needs if need in _EXTRA_FOR]
            instead = f"give the extra {needs[0]!r}, and" if needs else "it needs no extra:"
            raise SettingsError(
                f"method {name!r} runs outside of the graph; {instead} explain with method={name!r}"
            )
        if name != "gradcam":  # which is in every artifact
            _chosen("extra", name, [*dict.fromkeys(EXTRAS)])
    return sorted({*given} - {"gradcam"})


def _layers(layers: object) -> list[str] | None:
    names = _names("layers", [layers] if isinstance(layers, str) else layers, LayerError)
    if names and len(set(names)) < len(names):
        raise LayerError(f"a layer is named twice: {names}")
    return names or None


def _trace(trace: object) -> TorchExport | None:
    if trace is None:
        return None
    if not isinstance(trace, TorchExport):
        raise SettingsError(f"trace is a TorchExport(...), not {in_line(trace)}")
    if not _is_int(trace.opset) or trace.opset < _OLDEST_OPSET:
        raise SettingsError(
            f"opset={trace.opset!r}: an artifact has opset {_OLDEST_OPSET} or newer"
        )
    for field in ("dynamic_batch", "dynamic_size"):
        if not isinstance(getattr(trace, field), bool):
            raise SettingsError(f"{field}={getattr(trace, field)!r}: give True or False")
    return replace(
        trace,
        input_names=_names("input_names", trace.input_names, SettingsError),
        output_names=_names("output_names", trace.output_names, SettingsError),
    )


def _shapes(given: object) -> dict[str, list[int | None]] | None:
    """Shapes by input; a single one is the first input's, whose name is empty."""
    if given is None:
        return None
    named = cast("Mapping[Any, Any]", given) if isinstance(given, Mapping) else {"": given}
    shapes: dict[str, list[int | None]] = {}
    for name, shape in named.items():
        extents = None if isinstance(shape, str | Mapping | Set) else _items(shape)
        if not extents or not all(e is None or (_is_int(e) and e > 0) for e in extents):
            raise SettingsError(
                f"shapes has {in_line(shape)}; give extents of 1 or more, and None for an axis "
                "that stays as it is, such as (1, 3, 224, 224) or {'image': (None, 3, 224, 224)}"
            )
        shapes[str(name)] = extents
    return shapes


def _text(argument: str, value: object, error: type[Exception]) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise error(f"{argument}={in_line(value)} is no name; give a string")


def _names(argument: str, value: object, error: type[Exception]) -> list[str] | None:
    """A sequence of texts as a list; a single text and an unordered collection are refused."""
    if value is None:
        return None
    names = None if isinstance(value, str | Mapping | Set) else _items(value)
    if names is None or not all(isinstance(name, str) for name in names):
        such = _NAMES.get(argument, "'image'")
        raise error(
            f"{argument} takes a list of names, not {in_line(value)}; give strings, such as {such}"
        )
    if argument in _DISTINCT and len({*names}) < len(names):
        raise error(f"{argument}={in_line(names)} has a name twice; give each its own")
    return names


def _items(value: Any) -> list[Any] | None:
    return list(value) if isinstance(value, Collection) else None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _chosen(
    argument: str, value: Any, choices: Collection[str], error: type[Exception] = SettingsError
) -> Any:
    """Return ``value`` if it is one of ``choices``, else raise with the nearest one."""
    if isinstance(value, str) and value in choices:
        return value
    near = get_close_matches(value, choices, n=3) if isinstance(value, str) else []
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise error(f"unknown {argument} {in_line(value)}; {hint}there is {', '.join(choices)}")
