"""`try_methods` finds out before the first image whether an artifact has what methods need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..inputs.batch import make_batch
from ..inputs.examples import ExampleReader, Inputs
from ..methods.dispatch import run_method
from ..methods.method_io import MethodInput
from ..session.heads import Heads
from ..session.session import Session
from ..spec import Layer

Trial: TypeAlias = tuple[Layer, str, Mapping[str, Any]]
"""A layer, a method and its options."""

_SIDE = 64  # pixels, if the artifact takes images of any size


def try_methods(
    session: Session,
    heads: Heads,
    reader: ExampleReader,
    trials: Iterable[Trial],
    inputs: Inputs | None = None,
) -> MethodInput | None:
    """Run methods on a blank image without classes, which runs the model hardly at all.

    Args:
        session: The artifact, which explains classes.
        heads: The heads of its layers.
        reader: Reads its examples.
        trials: The methods.
        inputs: Values of further inputs.

    Returns:
        The blank image as a batch; None where nothing can be tried: for an artifact of arrays, or
        without the further inputs.

    Raises:
        InputError: The artifact lacks what a method needs, or an option has a wrong value.
        SessionError: ONNX Runtime failed.
    """
    transform, trials = session.spec.preprocess, list(trials)
    if transform is None or session.spec.class_index is None or not trials:
        return None
    further = {port.name for port in session.model_inputs} - {reader.main}
    if not further <= {*(inputs or {})}:
        return None  # each example brings its own
    height, width = transform.size or (_SIDE, _SIDE)
    blank = np.zeros((height, width, 3), np.uint8)
    example = reader.read({reader.main: blank}, "blank", inputs)
    nothing = np.zeros((1, 0), np.int64)
    feeds, _ = make_batch(session, reader.main, [example], nothing, [None])
    batch = MethodInput(session, feeds, reader.main, trials[0][0], None, heads)
    for layer, method, options in trials:
        run_method(batch.at_layer(layer), method, options)
    return batch
