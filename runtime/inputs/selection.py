"""A selection names classes and layers; these functions look them up in the metadata."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ClassError, InputError
from ..spec import Layer, Spec

ClassName: TypeAlias = SupportsIndex | str
Classes: TypeAlias = ClassName | Sequence[ClassName] | None
_NEAR = 5  # labels that a message names


def choose_classes(spec: Spec, classes: Classes, top: int) -> list[int]:
    """Return class ids as ``class_index`` takes them: 0 and up, or -1 and down for ranks.

    For an artifact with a linear score, the indices of ``top`` rows of weights.

    Args:
        spec: The artifact's metadata.
        classes: Ids, labels (a number in a string is an id unless it is a label), or a
            list of them; None: the ``top`` best-ranked.
        top: How many, if ``classes`` is None.

    Raises:
        ClassError: An id or ``top`` is out of range, a label is unknown or names two classes,
            or the artifact explains no classes.
    """
    if spec.class_index is None:
        if classes is not None:
            raise ClassError(
                "the artifact's score is linear: it explains no classes; pass score_weights alone"
            )
        return list(range(top))
    if classes is None:
        if not 1 <= top <= spec.score.classes:
            raise ClassError(
                f"top={top} is out of range; the model has {spec.score.classes} classes"
            )
        return list(range(-1, -top - 1, -1))
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        classes = [classes]
    return [check_class(_class_id(spec, entry), spec.score.classes) for entry in classes]


def choose_output(spec: Spec, name: str | None) -> int:
    """Return the place of the output ``name`` among those that an artifact explains; None: 0.

    Raises:
        InputError: It explains no such output.
    """
    if name is None:
        return 0
    return spec.output_names.index(check_name("output", name, spec.output_names))


def check_class(index: int, count: int) -> int:
    """Return ``index`` if it is an id or a rank of ``count`` classes, else raise ClassError."""
    if not -count <= index < count:
        raise ClassError(
            f"class {index} is out of range; the model has {count} classes: 0 to {count - 1}, "
            f"or -1 to -{count} by rank"
        )
    return index


def check_index(index: NDArray[Any], rows: Collection[int], count: int) -> None:
    """Raise ClassError unless ``index`` is integers [N or 1, K] within ``count`` classes."""
    whole = np.issubdtype(index.dtype, np.integer) or index.size == 0
    if not whole or index.ndim != 2 or len(index) not in rows:
        raise ClassError(
            f"class_index is {index.dtype} {list(index.shape)}; pass integers [N or 1, K], "
            "with a row per image or one for all"
        )
    for entry in np.unique(index):
        check_class(int(entry), count)


def check_outputs(
    spec: Spec, given: Any, index: NDArray[Any], rows: Collection[int]
) -> NDArray[np.int64] | None:
    """Check classes, and the outputs that they are of; return these as `Spec.output_index`.

    Args:
        spec: The artifact's metadata.
        given: Places of outputs, [N or 1, K or 1]; None: that of the metadata.
        index: `class_index`, [N or 1, K].
        rows: Numbers of images that there may be.

    Raises:
        ClassError: A class is out of range, or one of the two has another type or shape.
        InputError: Outputs are given, and the artifact explains one only.
    """
    if spec.outputs is None:
        if given is not None:
            raise InputError(
                f"output_index={given!r}, and the artifact explains one output only, "
                f"'{spec.score.output}'; leave it out"
            )
        check_index(index, rows, spec.score.classes)
        return None
    which = np.asarray([[spec.place]] if given is None else given)
    last, counts = len(spec.outputs) - 1, {which.shape[-1:], index.shape[-1:]} - {(1,)}
    shaped = which.ndim == 2 and len(which) in rows and len(counts) < 2
    if not shaped or not np.issubdtype(which.dtype, np.integer) or not which.size:
        raise ClassError(
            f"output_index is {which.dtype} {list(which.shape)}; pass integers [N or 1, K or 1], "
            f"for class_index {list(index.shape)}"
        )
    if which.min() < 0 or which.max() > last:
        names = ", ".join(f"{place} {name}" for place, name in enumerate(spec.output_names))
        raise ClassError(f"output_index {which.tolist()} is out of range; there is {names}")
    check_index(index, rows, max(one.score.classes for one in spec.outputs))
    both = np.stack(np.broadcast_arrays(which, index)).reshape(2, -1)
    for place, entry in np.unique(both, axis=1).T:
        check_class(int(entry), spec.outputs[place].score.classes)
    return which.astype(np.int64)


def choose_layer(spec: Spec, name: str | None) -> Layer:
    """Return the target layer ``name``; None: the first.

    Raises:
        InputError: The artifact has no such layer.
    """
    layers = {layer.name: layer for layer in spec.layers}
    return spec.layers[0] if name is None else layers[check_name("layer", name, layers)]


def choose_layers(spec: Spec, names: str | Sequence[str] | None) -> list[Layer]:
    """Return the target layers ``names``, each once; None: the first.

    Raises:
        InputError: The artifact has no such layer, or the list is empty.
    """
    if names is None or isinstance(names, str):
        return [choose_layer(spec, names)]
    if not names:
        raise InputError("an empty list of layers; name a layer, or leave it out for the first")
    return [choose_layer(spec, name) for name in dict.fromkeys(names)]


def check_name(kind: str, name: str, choices: Iterable[str]) -> str:
    """Return ``name`` if it is in ``choices``, else raise InputError with the nearest ones."""
    names = list(choices)
    if name in names:
        return name
    near = get_close_matches(str(name), names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise InputError(f"unknown {kind} '{name}'; {hint}there is {', '.join(names)}")


def _class_id(spec: Spec, entry: ClassName) -> int:
    if not isinstance(entry, str):
        try:
            return operator.index(entry)
        except TypeError:
            raise ClassError(f"class {entry!r} is neither an id nor a label") from None
    labels = [label.casefold() for label in spec.labels or []]
    found = [i for i, label in enumerate(labels) if label == entry.strip().casefold()]
    if len(found) == 1:
        return found[0]
    if found:
        raise ClassError(f"label '{entry}' names several classes, {found}; give one of these ids")
    try:
        return int(entry)
    except ValueError:
        pass
    elsewhere = [
        one.score.output
        for one in spec.outputs or ()
        if entry.strip().casefold() in [label.casefold() for label in one.labels or ()]
    ]
    if elsewhere:
        raise ClassError(
            f"output '{spec.score.output}' has no class '{entry}', but output '{elsewhere[0]}' "
            f"has; explain that one with output='{elsewhere[0]}' (--output {elsewhere[0]})"
        )
    if spec.labels is None:
        raise ClassError(f"unknown label '{entry}': the artifact stores no labels; give class ids")
    near = _near(entry.strip().casefold(), labels)
    shown = [spec.labels[labels.index(label)] for label in near or labels[:_NEAR]]
    hint = ", ".join(f"'{label}'" for label in shown)
    where = "nearest: " if near else f"give an id, or one of the {len(labels)} labels, such as "
    raise ClassError(f"unknown label '{entry}'; {where}{hint}")


def _near(word: str, labels: Sequence[str]) -> list[str]:
    """Return the labels that a word is part of, and those that are spelt like it."""
    inside = [label for label in labels if word and word in label]
    alike = get_close_matches(word, labels, n=_NEAR, cutoff=0.5)
    return list(dict.fromkeys([*inside, *alike]))[:_NEAR]
