"""A session runs an ONNX file: it chooses the provider, checks inputs and reads the metadata."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, RunError, SessionError, SpecError, first_line
from ..limits import MAX_PIXELS
from ..spec import METADATA_KEY, Spec
from .contract import Ports, check_contract
from .open import Configure, open_session
from .providers import CPU, Provider

Tensors = dict[str, NDArray[Any]]

logger = logging.getLogger("graftcam")

# In the messages of ONNX Runtime, whose exceptions have no type for it.
_NO_MEMORY = re.compile("bad.alloc|fail\\w* to allocate|out of memory", re.IGNORECASE)

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class Port:
    """An input of the artifact; None stands for a dynamic extent, or a type that numpy lacks."""

    name: str
    dtype: type[np.generic] | None
    shape: tuple[int | None, ...]
    required: bool

    def check(self, value: NDArray[Any]) -> None:
        """Raise InputError unless ``value`` has this input's dtype, rank and fixed extents."""
        if self.dtype is not None and value.dtype != self.dtype:
            raise InputError(
                f"input '{self.name}' is {value.dtype}; pass {np.dtype(self.dtype).name}"
            )
        if not fits(value.shape, self.shape):
            shape = ["any" if extent is None else extent for extent in self.shape]
            raise InputError(f"input '{self.name}' has shape {list(value.shape)}; pass {shape}")


def fits(shape: Sequence[int], extents: Sequence[int | None]) -> bool:
    """Whether an array of this shape has the rank and the extents (None: any) of a tensor."""
    return len(shape) == len(extents) and all(
        extent in (None, length) for length, extent in zip(shape, extents, strict=True)
    )


def shown(extents: Iterable[int | None]) -> str:
    """Return extents as text, dynamic ones as ``any``."""
    return ", ".join("any" if extent is None else str(extent) for extent in extents)


class Model:
    """One ONNX file in one ONNX Runtime session.

    Attributes:
        path: The file.
        provider: The execution provider that runs the graph.
        inputs: Inputs by name, in the graph's order; overridable initializers come last.
        outputs: Extents of outputs (None: dynamic) by name, in the graph's order.
        types: ONNX Runtime's name for the type of each input and output.
        axes: Extents of each input and output, open ones by their names; None: it has none.
    """

    def __init__(
        self,
        path: str | Path,
        providers: str | Sequence[Provider] | None = None,
        threads: int | None = None,
        configure: Configure | None = None,
        engine: str | None = None,
    ) -> None:
        """Open ``path``; see ``Explainer`` for the arguments and errors.

        Args:
            path: Any ONNX file.
            providers: As for ``Explainer``.
            threads: As for ``Explainer``.
            configure: Called with ONNX Runtime's ``SessionOptions`` to set more.
            engine: As for ``Explainer``.
        """
        self.path = Path(path)
        try:
            self._open(providers, threads, configure, engine)
        except UnicodeDecodeError as error:
            raise SessionError(
                f"{self.path} has names that are not UTF-8 ({error.reason}); export again"
            ) from None

    def _open(
        self, providers: str | Sequence[Provider] | None, threads: int | None,
        configure: Configure | None, engine: str | None,
    ) -> None:  # fmt: skip
        self._session, self._run = open_session(self.path, providers, threads, configure, engine)
        self.provider: str = self._session.get_providers()[0]
        logger.info("%s runs on %s", self.path.name, self.provider)
        required, outputs = self._session.get_inputs(), self._session.get_outputs()
        inputs = [*required, *self._session.get_overridable_initializers()]
        self.inputs = {
            node.name: Port(node.name, _DTYPES.get(node.type), _extents(node), at < len(required))
            for at, node in enumerate(inputs)
        }
        self.outputs = {node.name: _extents(node) for node in outputs}
        self.types: dict[str, str] = {node.name: node.type for node in [*inputs, *outputs]}
        self.axes: dict[str, tuple[int | str | None, ...]] = {
            node.name: tuple(node.shape) for node in [*inputs, *outputs]
        }

    def run(self, feeds: Mapping[str, NDArray[Any]], names: Iterable[str] | None = None) -> Tensors:
        """Run the graph once and return the outputs in ``names`` (None: all).

        Raises:
            InputError: An input is unknown, missing, or of another dtype or shape.
            SessionError: ONNX Runtime failed.
            RunError: It failed for a reason that lies in the inputs.
        """
        unknown = sorted(set(feeds) - set(self.inputs))
        missing = [n for n, port in self.inputs.items() if port.required and n not in feeds]
        if unknown or missing:
            raise InputError(
                f"{self.path.name} takes {list(self.inputs)}; missing {missing}, unknown {unknown}"
            )
        for name, value in feeds.items():
            self.inputs[name].check(value)
        names = list(self.outputs if names is None else names)
        try:
            values = self._run(names, dict(feeds))
        except Exception as error:  # ONNX Runtime's exceptions share no base of their own
            reason = first_line(error)
            # A device can be lost; the processor can only refuse what it gets.
            of_inputs = self.provider == CPU or _NO_MEMORY.search(reason)
            kind = RunError if of_inputs else SessionError
            raise kind(f"{self.path.name}: the run failed: {reason}") from error
        return dict(zip(names, values, strict=True))

    def end_profiling(self) -> Path:
        """Close the profile that ``configure`` started and return its file."""
        return Path(self._session.end_profiling())


class Session(Model):
    """One artifact in one ONNX Runtime session.

    Attributes:
        spec: Its metadata.
        defaults: Values for the inputs that graftcam added, if the caller leaves them out and
            the file has no default.
        max_pixels: Number of pixels that an image file for it may have.
    """

    max_pixels: int = MAX_PIXELS

    def __init__(
        self,
        path: str | Path,
        providers: str | Sequence[Provider] | None = None,
        threads: int | None = None,
        configure: Configure | None = None,
        engine: str | None = None,
    ) -> None:
        """Open ``path``; see ``Model`` and ``Explainer`` for the arguments and errors."""
        super().__init__(path, providers, threads, configure, engine)
        text = self._metadata().get(METADATA_KEY)
        if text is None:
            raise SpecError(
                f"{self.path} has no graftcam metadata; make one with `graftcam export`"
            )
        try:
            self.spec = Spec.from_json(text)
            shapes = {port.name: port.shape for port in self.inputs.values()}
            check_contract(self.spec, Ports(shapes, self.outputs, self.types))
        except SpecError as error:
            raise SpecError(f"{self.path}: {error}") from None
        required = [port for port in self.inputs.values() if port.required]
        self.defaults = defaults_of(self.spec, {port.name: len(port.shape) for port in required})

    def run(self, feeds: Mapping[str, NDArray[Any]], names: Iterable[str] | None = None) -> Tensors:
        """Run the graph once on ``feeds`` and `defaults`; see `Model.run`."""
        return super().run({**self.defaults, **feeds}, names)

    def about(self, place: int) -> Session:
        """Return the same session about another of several outputs; see `Spec.outputs`."""
        if self.spec.outputs is None:
            return self
        other = copy(self)
        other.spec = self.spec.about(place)
        ranks = {name: len(self.inputs[name].shape) for name in self.defaults}
        other.defaults = defaults_of(other.spec, ranks)
        return other

    def _metadata(self) -> dict[str, str]:
        try:
            return self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise SpecError(
                f"{self.path} has metadata that are not UTF-8 ({error.reason}); export again"
            ) from None

    @property
    def model_inputs(self) -> list[Port]:
        """The inputs that the model itself requires."""
        own = self.spec.own_inputs
        return [port for port in self.inputs.values() if port.required and port.name not in own]

    def output_shape(self, feeds: Tensors) -> tuple[int, ...]:
        """Return the shape of the scored output, from a plain prediction (K = 0)."""
        selector, name = self.inputs[self.spec.selector], self.spec.score.output
        none = [1, 0, *(extent or 1 for extent in selector.shape[2:])]
        selection = {selector.name: np.zeros(none, selector.dtype)}
        return self.run({**feeds, **selection}, [name])[name].shape


def _extents(node: Any) -> tuple[int | None, ...]:
    return tuple(extent if isinstance(extent, int) else None for extent in node.shape)


def defaults_of(spec: Spec, ranks: Mapping[str, int]) -> Tensors:
    """Return the best-ranked class (of the best box), and all positions, for inputs in ``ranks``.

    Also the place of the output that the metadata is about, if there are several.

    Args:
        spec: The artifact's metadata.
        ranks: Number of axes of each input that must be fed.
    """
    values = [(spec.class_index, -1, np.int64), (spec.region, 1, np.float32)]
    if spec.detector is not None:
        values.append((spec.detector.box_index, -1, np.int64))
        values.append((spec.detector.box_target, 0, np.int64))
    found = {
        name: np.full([1] * ranks[name], value, dtype)
        for name, value, dtype in values
        if name is not None and name in ranks
    }
    if spec.output_index is not None:
        found[spec.output_index] = np.array([[spec.place]], np.int64)
    return found
