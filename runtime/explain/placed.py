"""`Placing` finds which input of a model a layer's maps lie over."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..inputs.form import form_of
from ..inputs.selection import check_name
from ..methods.table import METHODS
from ..session.session import Session, Tensors
from ..spec import Layer


class Placing:
    """Finds the inputs of an artifact that its layers look at; the answers are kept.

    With a single input there is nothing to find. Among several that could carry a layer's maps, a
    layer looks at those whose change changes its activations.
    """

    def __init__(self, session: Session, main: str, over: str | None = None) -> None:
        """Prepare for an artifact.

        Args:
            session: The artifact.
            main: The input that the examples are about.
            over: The caller's choice; None: find it.

        Raises:
            InputError: The model has no input ``over``.
        """
        self._session, self._main, self._found = session, main, dict[str, str]()
        self._lock = threading.Lock()
        names = [port.name for port in session.model_inputs]
        self._over = None if over is None else check_name("input", over, names)

    def of(self, method: str, layers: Sequence[Layer], feeds: Tensors) -> str:
        """Return the name of the input that a method's maps lie over.

        Args:
            method: The id of the method; some make maps of the input itself, not of a layer.
            layers: The layers whose maps are fused.
            feeds: The inputs of one run.

        Raises:
            InputError: The layers look at different inputs, or the method combines maps of a layer
                with the `main` input, which the layer does not look at.
        """
        needs = set(METHODS[method].needs)
        of_layer = bool(needs & {"activations", "gradients", "heatmap", "head"})
        if not of_layer:
            return self._main
        found = {layer.name: self._over or self._of_layer(layer, feeds) for layer in layers}
        if len(set(found.values())) > 1:
            pairs = ", ".join(f"'{layer}' at '{name}'" for layer, name in found.items())
            raise InputError(f"the layers look at different inputs ({pairs}); explain one of them")
        name = next(iter(found.values()))
        if name != self._main and needs & {"images", "guided_gradients"}:
            raise InputError(
                f"method '{method}' changes the input '{self._main}', but layer "
                f"'{layers[0].name}' looks at '{name}'; choose a layer that looks at "
                f"'{self._main}', or another method"
            )
        return name

    def _of_layer(self, layer: Layer, feeds: Tensors) -> str:
        with self._lock:
            found = self._found.get(layer.name) or self._find(layer, feeds)
            if found is not None:
                self._found[layer.name] = found
            # Such as a layer of zeros: its map is empty, whatever it lies over.
            return found or self._main

    def _find(self, layer: Layer, feeds: Tensors) -> str | None:
        """Return the input that a layer looks at; None if no change of an input shows it."""
        transform = self._session.spec.preprocess
        candidates = [
            port.name
            for port in self._session.model_inputs
            if form_of(
                feeds[port.name].shape[1:], port.dtype, layer.grid, layer.layout,
                transform if port.name == self._main else None,
            )
        ]  # fmt: skip
        if len(candidates) < 2:
            return (candidates or [self._main])[0]
        spec = self._session.spec
        none = self._session.inputs[spec.selector]
        nothing = np.zeros([1, 0, *(extent or 1 for extent in none.shape[2:])], none.dtype)
        plain = {**feeds, spec.selector: nothing}
        plain.pop(spec.region or "", None)
        before = self._session.run(plain, [layer.activations])[layer.activations]
        seen: list[str] = []
        for name in candidates:
            changed = {**plain, name: _changed(feeds[name])}
            after = self._session.run(changed, [layer.activations])[layer.activations]
            if before.shape != after.shape or not np.array_equal(before, after, equal_nan=True):
                seen.append(name)
        return self._main if self._main in seen else next(iter(seen), None)


def _changed(values: NDArray[Any]) -> NDArray[Any]:
    """Return other values of the same type: pixels inverted, ids in reverse order."""
    turned = np.flip(values, axis=tuple(range(1, values.ndim)))
    if values.dtype == np.uint8:
        return np.invert(values)
    if values.dtype.kind != "f":
        return np.ascontiguousarray(turned)
    generator = np.random.default_rng(0)
    spread = float(np.ptp(values)) or 1.0
    noise = generator.standard_normal(values.shape) * spread
    return (turned + noise).astype(values.dtype)
