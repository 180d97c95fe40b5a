"""This module compares baked maps with the runtime's methods, on the artifact's own tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, cast

import numpy as np

from ....runtime.explain.fuse_layers import fuse
from ....runtime.methods.fusion import Fuse
from ....runtime.methods.table import METHODS
from ....runtime.spec import Layer, Spec
from ...errors import VerificationError
from ..runs.running import Array
from .map_errors import Near, map_errors

_BOUND = 1e-3
_Formula: TypeAlias = Callable[[Near], Array]


def check_baked(results: Mapping[str, Array], spec: Spec) -> None:
    """Compare every baked map with its definition.

    Half of the maps must be right, since chance may hit one of them: see `map_errors`.

    Args:
        results: All outputs by name. Classes behind those of the baked maps are left out.
        spec: The artifact's metadata.

    Raises:
        VerificationError: A baked map differs from its definition.
    """
    generator = np.random.default_rng(0)
    for name, formula in _formulas(results, spec):
        found = map_errors(results[name], formula, _BOUND, generator)
        if 2 * found.right.sum() < len(found.right):
            raise VerificationError(
                f"the artifact's {name} is not what the runtime makes of its activations and "
                f"gradients, nothing was written: error {np.median(found.errors):.1e} "
                f"(bound {np.median(found.allowed):.1e})"
            )


def _formulas(results: Mapping[str, Array], spec: Spec) -> Iterator[tuple[str, _Formula]]:
    """The name of each baked output with its formula."""
    for layer in spec.layers:
        for method, name in (layer.methods or {}).items():
            yield name, _formula(results, layer, method, results[name].shape[1])
    fused = spec.fused
    if fused is not None:
        for how, name in fused.maps.items():
            yield name, _fused(results, spec, fused.method, how, results[name].shape[1])


def _formula(results: Mapping[str, Array], layer: Layer, method: str, classes: int) -> _Formula:
    """The maps of a method, [N, classes, *space]."""
    gradients = results[layer.gradients][:, :classes]
    if classes == 1:
        # One class and its double: what is baked contrasts a single class with itself.
        gradients = np.concatenate([gradients, gradients], axis=1)

    def maps(near: Near) -> Array:
        made = METHODS[method](near(results[layer.activations]), near(gradients))
        return made[:, :classes]

    return maps


def _fused(
    results: Mapping[str, Array], spec: Spec, method: str, how: str, classes: int
) -> _Formula:
    """The maps of all layers in one, [N, classes, *space]."""
    formulas = [_formula(results, layer, method, classes) for layer in spec.layers]

    def maps(near: Near) -> Array:
        return fuse([formula(near) for formula in formulas], cast(Fuse, how))

    return maps
