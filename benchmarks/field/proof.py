"""`prove` runs an artifact on a real input and measures what its map is worth.

Three measurements, none of which looks at how the artifact was made:

- **Place**: a patch of the input is covered, at five positions along each axis; the change of the
  activations must move as the patch does. The number is the lowest correlation between both.
- **Effect**: the input is covered but for the 30 % where the map is highest, then but for the 30 %
  where it is lowest. The number is the difference of both scores, as a share of what the whole
  input adds to the score of a blank one. It is shown, not judged: Grad-CAM promises no number.
- **Box**: whether the map's highest place is inside the object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graftcam.runtime.spec import METADATA_KEY, Spec

from ..session import open_session
from .subject import Places, Subject

_POSITIONS = 5
_SHARE = 0.2  # of an axis that a patch covers
_KEPT = 0.3  # of the map


def read_spec(path: Path) -> tuple[Any, Spec]:
    """Open an artifact and read its metadata."""
    session = open_session(path)
    return session, Spec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY])


def seen(session: Any, spec: Spec) -> dict[str, Any]:
    """Summarise what the artifact explains, and where."""
    layer, score, verdict = spec.layers[0], spec.score, spec.verification
    names = [item.name for item in session.get_outputs()]
    return {
        "output": score.output,
        "position": names.index(score.output) if score.output in names else -1,
        "axis": score.class_axis or 1, "offset": score.class_offset or 0,
        "classes": score.classes, "kind": score.kind,
        "activation": score.activation, "activated": score.activated,
        "layer": layer.name, "layout": layer.layout, "prefix": layer.prefix_tokens,
        "verdict": verdict.verdict, "reference": verdict.reference,
        "worst": verdict.worst() if verdict.errors else "",
        "detector": spec.detector.format if spec.detector else "",
    }  # fmt: skip


def prove(path: Path, subject: Subject) -> dict[str, Any]:
    """Measure an artifact on the subject's input.

    Returns:
        What `seen` finds; ``grid``; ``constant``, whether the map has one value everywhere even
        before its negative part is cut off;
        ``class``, the explained one, and ``top_matches``, whether the picture shows it; and
        ``place``, ``effect`` and ``box``, as far as each can be measured.
    """
    session, spec = read_spec(path)
    layer, summary = spec.layers[0], seen(session, spec)
    feeds = dict(zip((item.name for item in session.get_inputs()), subject.feeds().values(),
                     strict=False))  # fmt: skip
    whole = layer.heatmap if spec.detector is None else spec.detector.heatmap
    names = [whole, layer.activations, spec.scores, spec.classes, layer.gradients]

    def run(value: Any, chosen: Any = None) -> list[Any]:
        told = {} if chosen is None else {spec.class_index: chosen}
        return session.run(names, {**feeds, first: value, **told})

    first = next(iter(feeds))
    value = feeds[first]
    heatmap, activations, _, classes, gradients = run(value)
    grid, chosen = heatmap.shape[2:], classes[:1, :1]
    found: dict[str, Any] = {
        **summary,
        "grid": list(grid),
        # Of a detector's levels only that of the explained box need have a gradient.
        "constant": _is_constant(activations[0], gradients[0, 0])
        if spec.detector is None
        else bool(np.ptp(heatmap[0, 0]) == 0),
        "class": int(chosen[0, 0]),
        "top_matches": not subject.top or int(chosen[0, 0]) in subject.top,
    }
    places = next((p for p in subject.truth.places if len(p) == len(grid)), None)
    if places is None or np.issubdtype(value.dtype, np.integer):
        return found
    moves = [
        follows(value, along, number, activations, lambda changed: run(changed, chosen)[1])
        for number, along in enumerate(places)
        if along is not None and grid[number] >= 3
    ]
    if moves:
        found["place"] = round(min(moves), 3)

    def score(changed: Any) -> float:
        return float(run(changed, chosen)[2][0, 0])

    if (effect := _effect(value, places, heatmap[0, 0], score)) is not None:
        found["effect"] = effect
    if subject.box and len(grid) == 2:
        found["box"] = _inside(heatmap[0, 0], subject.box)
    return found


def _is_constant(activations: Any, gradients: Any) -> bool:
    """Whether the weighted sum of the activations is the same everywhere."""
    weights = gradients.reshape(len(gradients), -1).mean(axis=1, dtype=np.float64)
    weighted = np.tensordot(weights, activations, 1)
    return bool(np.ptp(weighted) <= 1e-6 * np.abs(weighted).max())


def follows(
    value: Any, along: int, number: int, plain: Any, activate: Callable[[Any], Any]
) -> float:
    """Correlate the place of a covered patch with that of the change of the activations."""
    extent = value.shape[along]
    width = max(1, int(_SHARE * extent))
    starts: list[int] = []
    changes: list[float] = []
    for position in range(_POSITIONS):
        start = round(position * (extent - width) / (_POSITIONS - 1))
        patch = [slice(None)] * value.ndim
        patch[along] = slice(start, start + width)
        covered = value.copy()
        covered[tuple(patch)] = value.mean()
        change = np.square(np.float64(activate(covered)) - plain)[0].sum(axis=0)
        others = tuple(axis for axis in range(change.ndim) if axis != number)
        profile = change.sum(axis=others)
        if profile.sum() > 0:
            starts.append(start)
            changes.append(profile @ np.arange(len(profile)) / profile.sum())
    if len(starts) < 3 or np.ptp(changes) == 0:
        return 0.0
    return float(np.corrcoef(starts, changes)[0, 1])


def _effect(value: Any, places: Places, heatmap: Any, score: Any) -> float | None:
    """Compare what the highest and the lowest part of the map keep of the score.

    None if the input does not raise the score above that of a blank one.
    """
    cells = np.argsort(heatmap, axis=None)
    some = max(1, int(_KEPT * cells.size))
    blank = np.full_like(value, value.mean())
    kept: list[float] = []
    for part in (cells[-some:], cells[:some]):
        chosen = np.zeros(heatmap.size, bool)
        chosen[part] = True
        mask = _over_input(chosen.reshape(heatmap.shape), places, value.shape)
        kept.append(score(np.where(mask, value, blank)))
    rise = score(value) - score(blank)
    return round((kept[0] - kept[1]) / rise, 2) if rise > 0 else None


def _over_input(mask: Any, places: Places, shape: Sequence[int]) -> Any:
    """Spread a mask of the map's cells over the input's axes that they follow."""
    # The frequencies of a waveform are no axis of the input: any of them covers the moment.
    lost = tuple(number for number, along in enumerate(places) if along is None)
    mask, axes = mask.any(axis=lost), [along for along in places if along is not None]
    for number, along in enumerate(axes):
        index = np.arange(shape[along]) * mask.shape[number] // shape[along]
        mask = np.take(mask, index, axis=number)
    ordered = np.transpose(mask, np.argsort(axes))
    return ordered.reshape([e if axis in axes else 1 for axis, e in enumerate(shape)])


def _inside(heatmap: Any, box: tuple[float, float, float, float]) -> bool:
    """Whether the centre of the map's highest cell is inside the box."""
    row, column = np.unravel_index(np.argmax(heatmap), heatmap.shape)
    down, right = (row + 0.5) / heatmap.shape[0], (column + 0.5) / heatmap.shape[1]
    return bool(box[0] <= down <= box[2] and box[1] <= right <= box[3])
