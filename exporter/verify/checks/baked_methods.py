"""This module compares baked maps with the runtime's methods, on the artifact's own tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ....runtime.methods.table import METHODS
from ....runtime.spec import Spec
from ...errors import VerificationError

Array = npt.NDArray[Any]
_BOUND = 1e-3
_ROUNDING = 1e-6  # a dozen units in float32's last place
# How many times that of a perturbation of this size: sums run in another order, and repeated
# squaring leaves a little more of a second component that is nearly as large as the first.
_SLACK = 100.0


def check_baked(results: Mapping[str, Array], spec: Spec) -> None:
    """Compare every baked map with its definition.

    Where terms cancel, or two components are equally large, a map depends on the last digits of its
    inputs. So an error is small if perturbing these digits changes the map as much. Half of the
    maps must be close, since chance may hit one of them.

    Args:
        results: All outputs by name. Classes behind those of the baked maps are left out.
        spec: The artifact's metadata.

    Raises:
        VerificationError: A baked map differs from its definition.
    """
    generator = np.random.default_rng(0)
    for layer in spec.layers:
        for method, name in (layer.methods or {}).items():
            baked = results[name]
            gradients = results[layer.gradients][:, : baked.shape[1]]
            if baked.shape[1] == 1:
                # One class and its double: what is baked contrasts a single class with itself.
                gradients = np.concatenate([gradients, gradients], axis=1)
            tensors = results[layer.activations], gradients
            moved = [
                tensor * (1 + _ROUNDING * generator.standard_normal(tensor.shape))
                for tensor in tensors
            ]
            truth, near = (METHODS[method](*pair)[:, : baked.shape[1]] for pair in (tensors, moved))
            allowed = _BOUND + _SLACK * _errors(near, truth)
            errors = _errors(baked, truth)
            if not np.median(errors - allowed) <= 0:
                raise VerificationError(
                    f"the artifact's {name} is not what the runtime makes of its activations and "
                    f"gradients, nothing was written: error {np.median(errors):.1e} "
                    f"(bound {np.median(allowed):.1e})"
                )


def _errors(actual: Array, expected: Array) -> npt.NDArray[np.float64]:
    """Relative L2 error of each map; 0 where both are 0, or not finite in the same places."""
    a, e = (maps.reshape(-1, maps[0, 0].size) for maps in (actual, expected))
    same = (a == e) | (np.isnan(a) & np.isnan(e))
    difference = np.linalg.norm(np.where(same, 0, a - e), axis=1)
    size = np.linalg.norm(e, axis=1)
    return np.where(difference > 0, difference / np.where(size > 0, size, 1), 0.0)
