"""`settings_of` checks the arguments of `export` and returns them as one record."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

from ...runtime.inputs.bank import Bank
from ...runtime.methods.table import ATTENTION_METHODS, METHODS
from ...runtime.settings import WEIGHTED, DetectorChoice, Score, ScoreKind, TorchExport
from ..artifact.embed_preprocess import check_embeddable
from ..errors import LayerError, ScoreError, SettingsError, in_line
from ..graph.profiles import ProfileName, profile_of
from ..heatmap.baked import FORMULAS
from ..heatmap.fused import FUSING
from ..source.labels import labels_for
from ..source.preprocessing import as_preprocess
from ..source.settings import ExportSettings
from ..source.texts import bank_for
from .keywords import FLAGS
from .score import score_of
from .values import checked_names, checked_text, is_int, items_of, one_of

_EXTRA_FOR = {
    "head": "head", "input_gradients": "input_gradients", "guided_gradients": "guided",
    "deconvnet_gradients": "guided", "fullgrad": "fullgrad",
}  # fmt: skip
EXTRAS = (*FLAGS, *FORMULAS, *ATTENTION_METHODS, *FUSING)
_OLDEST_OPSET = 18


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
    scored, named = score_of(score), _layers(layers)
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
        name=checked_text("name", name, SettingsError),
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


def _detector(value: Any) -> DetectorChoice | None:
    choices = get_args(DetectorChoice)
    if value is not None and value not in choices:
        raise SettingsError(
            f"detector={value!r}; give one of {', '.join(choices)}, or leave it out"
        )
    return value


def _extras(extras: object) -> list[str]:
    """The extras in alphabetical order: a set has no order, and the bytes must not vary."""
    given = [extras] if isinstance(extras, str) else items_of(extras)
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
            one_of("extra", name, [*dict.fromkeys(EXTRAS)])
    return sorted({*given} - {"gradcam"})


def _layers(layers: object) -> list[str] | None:
    names = checked_names("layers", [layers] if isinstance(layers, str) else layers, LayerError)
    if names and len(set(names)) < len(names):
        raise LayerError(f"a layer is named twice: {names}")
    return names or None


def _trace(trace: object) -> TorchExport | None:
    if trace is None:
        return None
    if not isinstance(trace, TorchExport):
        raise SettingsError(f"trace is a TorchExport(...), not {in_line(trace)}")
    if not is_int(trace.opset) or trace.opset < _OLDEST_OPSET:
        raise SettingsError(
            f"opset={trace.opset!r}: an artifact has opset {_OLDEST_OPSET} or newer"
        )
    for field in ("dynamic_batch", "dynamic_size"):
        if not isinstance(getattr(trace, field), bool):
            raise SettingsError(f"{field}={getattr(trace, field)!r}: give True or False")
    return replace(
        trace,
        input_names=checked_names("input_names", trace.input_names, SettingsError),
        output_names=checked_names("output_names", trace.output_names, SettingsError),
    )


def _shapes(given: object) -> dict[str, list[int | None]] | None:
    """Shapes by input; a single one is the first input's, whose name is empty."""
    if given is None:
        return None
    named = cast("Mapping[Any, Any]", given) if isinstance(given, Mapping) else {"": given}
    shapes: dict[str, list[int | None]] = {}
    for name, shape in named.items():
        extents = None if isinstance(shape, str | Mapping | Set) else items_of(shape)
        if not extents or not all(e is None or (is_int(e) and e > 0) for e in extents):
            raise SettingsError(
                f"shapes has {in_line(shape)}; give extents of 1 or more, and None for an axis "
                "that stays as it is, such as (1, 3, 224, 224) or {'image': (None, 3, 224, 224)}"
            )
        shapes[str(name)] = extents
    return shapes
