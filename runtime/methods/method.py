"""A `Method` is a function that makes maps, with the tensors that it needs and its options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..checks import check_value, types_of
from ..errors import InputError
from .numpy_operations import NUMPY, Array, in_rows

Maps: TypeAlias = NDArray[np.float32]
Need: TypeAlias = Literal[
    "activations", "gradients", "heatmap", "input_gradients", "guided_gradients",
    "deconvnet_gradients", "fullgrad", "head", "images", "attention",
]  # fmt: skip

_OF_PIXELS = frozenset({"input_gradients", "guided_gradients", "deconvnet_gradients"})


@dataclass(frozen=True)
class Method:
    """A way to make maps.

    A method that needs only activations and gradients is a formula over `Operations`: it can be
    called with the two, and an artifact can contain its maps.

    Attributes:
        function: For a formula, ``(operations, *tensors, **options)`` with the tensors of ``needs``
            in their order, see `operations`; else ``(batch, **options) -> MethodOutput``.
        needs: What it needs of the artifact: names of tensors, ``head``, or ``images``, the model's
            own input.
        source: The paper; the package if there is no paper.
        signed: Its maps have negative values, which are evidence against the class.
    """

    function: Callable[..., Any]
    needs: tuple[Need, ...]
    source: str
    signed: bool = False

    @cached_property
    def options(self) -> dict[str, Any]:
        """The options and their defaults: the function's keyword-only parameters."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}

    def check_types(self, method: str, options: Mapping[str, Any]) -> None:
        """Raise InputError unless the values of the options have the annotated types."""
        hints = types_of(self.function)
        for name, value in options.items():
            if name in hints:
                check_value(f"method '{method}': {name}", value, hints[name])

    @property
    def is_formula(self) -> bool:
        """Whether it needs only activations and gradients."""
        return {"activations", "gradients"}.issuperset(self.needs)

    @property
    def of_pixels(self) -> bool:
        """Whether its maps have a value for each value of the input, of which few are large."""
        return not _OF_PIXELS.isdisjoint(self.needs)

    def is_signed(self, options: Mapping[str, Any]) -> bool:
        """Whether its maps are signed with these options: they also are without a ReLU."""
        relu = {**self.options, **options}.get("relu")
        return self.signed if relu is None else not relu

    def __call__(self, activations: Array, gradients: Array, **options: Any) -> Maps:
        """Compute the raw maps of a formula from activations and gradients.

        Args:
            activations: float [N, C, *space], with any number of spatial axes.
            gradients: Gradients of K scores, float [N, K, C, *space].
            options: The method's options.

        Returns:
            float32 [N, K, *space].

        Raises:
            InputError: The method is not a formula, or an option is out of range.
        """
        if not self.is_formula:
            raise InputError(
                f"this method is not a formula of activations and gradients; it needs "
                f"{', '.join(self.needs)} of an artifact: use Explainer.explain"
            )
        tensors = {"activations": activations, "gradients": gradients}
        return self.maps(tensors, gradients.shape[1], options)

    def maps(self, tensors: Mapping[str, Array], classes: int, options: Mapping[str, Any]) -> Maps:
        """Compute the maps of a formula from the tensors that it needs, for K = ``classes``."""
        count, _, *space = tensors["activations"].shape
        rows = {name: in_rows(value, value.ndim - len(space)) for name, value in tensors.items()}
        rows["activations"] = rows["activations"][:, None]
        maps = self.function(NUMPY, *(rows[need] for need in self.needs), **options)
        if "gradients" not in self.needs:
            maps = np.repeat(maps, classes, axis=1)
        return maps.reshape(count, classes, *space)
