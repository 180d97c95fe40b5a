"""This module checks the arguments of `export` and returns them as one record.

It refuses a wrong value before any work is done.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar, get_args

from ..runtime.methods.table import METHODS
from ..runtime.settings import Activation, Score, ScoreKind, TorchExport
from .artifact.embed_preprocess import check_embeddable
from .errors import CaptureError, LayerError, ScoreError, SettingsError, in_line
from .graph.profiles import ProfileName, profile_of
from .heatmap.baked import FORMULAS
from .source.preprocessing import as_preprocess
from .source.settings import ExportSettings

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

FLAGS = ("head", "input_gradients", "guided", "embed_preprocess")
_EXTRA_FOR = {
    "head": "head", "input_gradients": "input_gradients", "guided_gradients": "guided",
    "deconvnet_gradients": "guided",
}  # fmt: skip
_OLDEST_OPSET = 18
_NAMES = {"layers": "'layer4'", "labels": "['cat', 'dog']"}


def refuse_unknown(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let ``function`` say what to write instead of a keyword that it does not have."""
    names = inspect.signature(function).parameters

    @functools.wraps(function)
    def checked(*args: Parameters.args, **keywords: Parameters.kwargs) -> Result:
        for name, value in keywords.items():
            if name not in names:
                remedy = _remedy(name, value, names)
                raise TypeError(f"{function.__name__}() has no argument {name!r}; {remedy}")
        return function(*args, **keywords)

    return checked


def _remedy(name: str, value: object, names: Collection[str]) -> str:
    for argument, record in (("score", Score), ("trace", TorchExport)):
        if name in {entry.name for entry in fields(record)}:
            return f"give {argument}={record.__name__}({name}={value!r})"
    if name == "methods" or name in FLAGS:
        given = [name] if name in FLAGS else [value] if isinstance(value, str) else _items(value)
        return f"give extras={{{', '.join(map(repr, given or []))}}}" if value else "leave it out"
    near = get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}"


def check_images(settings: ExportSettings, *, used: bool) -> None:
    """Refuse images that nothing would look at, or that cannot be fed.

    Raises:
        SettingsError: There is neither a verification nor a report, or no training transform.
    """
    if not used:
        raise SettingsError(
            "images are to verify on and to show in a report; leave images (--images) out, or give "
            "verify='quick' or a report"
        )
    if settings.preprocess is None:
        raise SettingsError(
            "images cannot be fed without the training transform; give preprocess=... "
            "(--preprocess, or --mean and --std), or leave images (--images) out"
        )


def settings_of(
    layers: str | Sequence[str] | None,
    score: ScoreKind | Score,
    labels: Sequence[str] | None,
    preprocess: Any,
    extras: str | Collection[str],
    profile: ProfileName,
    trace: TorchExport | None,
    name: str | None,
) -> ExportSettings:
    """Check the arguments of `export`, and return them as one record.

    Raises:
        GraftcamError: One has a value or a type that it cannot have; the message says which.
    """
    profile_of(profile)
    settings = ExportSettings(
        score=_score(score),
        extras=_extras(extras),
        layers=_layers(layers),
        trace=_trace(trace),
        labels=_names("labels", labels, CaptureError),
        preprocess=as_preprocess(preprocess),
        profile=profile,
        name=_text("name", name, SettingsError),
    )
    kind = settings.score.kind
    if kind == "channel" and (settings.score.output is not None or not settings.layers):
        raise ScoreError(
            "a channel score is one of a layer, not of an output; name the layer with `layers`"
        )
    if "head" in settings.extras and kind in ("linear", "channel"):
        raise ScoreError(f"a {kind} score has no head; leave 'head' out of extras")
    if "embed_preprocess" in settings.extras:
        check_embeddable(settings.preprocess)
    return settings


def _score(score: object) -> Score:
    if isinstance(score, str):
        score = Score(score)  # pyright: ignore[reportArgumentType]
    if not isinstance(score, Score):
        raise ScoreError(f"score is a kind or a Score(...), not {in_line(score)}")
    _chosen("score", score.kind, get_args(ScoreKind), ScoreError)
    if score.activation is not None:
        _chosen("activation", score.activation, get_args(Activation), ScoreError)
    if not _is_int(score.class_axis):
        raise ScoreError(f"class_axis={score.class_axis!r} is no axis; give an integer")
    if not _is_int(score.class_offset) or score.class_offset < 0:
        raise ScoreError(f"class_offset={score.class_offset!r} counts entries; give 0 or more")
    _text("output", score.output, ScoreError)
    return score


def _extras(extras: object) -> list[str]:
    """The extras in alphabetical order: a set has no order, and the bytes must not vary."""
    given = [extras] if isinstance(extras, str) else _items(extras)
    if given is None or not all(isinstance(one, str) for one in given):
        raise SettingsError(f"extras takes names such as 'head', not {in_line(extras)}")
    for name in given:
        if name in METHODS and not METHODS[name].is_formula:
            needs = [_EXTRA_FOR[need] for need in METHODS[name].needs if need in _EXTRA_FOR]
            instead = f"give the extra {needs[0]!r}, and" if needs else "it needs no extra:"
            raise SettingsError(
                f"method {name!r} runs outside of the graph; {instead} explain with method={name!r}"
            )
        if name != "gradcam":  # which is in every artifact
            _chosen("extra", name, [*FLAGS, *FORMULAS])
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
