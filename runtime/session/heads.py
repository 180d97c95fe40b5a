"""Heads of an artifact's layers: found beside it, checked, and opened when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..spec import Layer, Spec
from .session import Session

_HASHES = ("graph_sha256", "weights_sha256")


@dataclass(frozen=True)
class Head:
    """The model from a layer to the score.

    Attributes:
        session: An artifact of its own, whose target layer is its input.
        activations: Name of that input, [N, C, *space].
        beside: What its other inputs take: outputs and inputs of the whole artifact, by name.
    """

    session: Session
    activations: str
    beside: dict[str, str]


class Heads:
    """The heads of one artifact; safe to share between threads."""

    def __init__(
        self, path: Path, spec: Spec, opened: Callable[[Path], Session], given: Path | None = None
    ) -> None:
        """Open nothing yet.

        Args:
            path: The artifact.
            spec: Its metadata.
            opened: How a head's file is opened.
            given: A head's file, instead of the one that the metadata names, beside the artifact.
        """
        self._path, self._spec, self._opened, self._given = path, spec, opened, given
        self._known: dict[str, Head] = {}
        self._lock = threading.Lock()

    def of(self, layer: Layer) -> Head:
        """The head of a layer.

        Raises:
            InputError: The artifact was exported without heads, the file is not there, or it is the
                head of another model, layer or score.
            SessionError: ONNX Runtime cannot load it.
        """
        with self._lock:
            if layer.name not in self._known:
                self._known[layer.name] = self._open(layer)
            return self._known[layer.name]

    def _open(self, layer: Layer) -> Head:
        again = "export it with `graftcam export --extra head`"
        if layer.head is None:
            raise InputError(
                f"{self._path.name} came without the head of layer '{layer.name}', which the "
                f"method reruns; {again}"
            )
        path = self._given or self._path.with_name(layer.head.file)
        if not path.is_file():
            raise InputError(
                f"{path}: no such file, and the method reruns the head of layer '{layer.name}'; "
                f"put {layer.head.file} beside {self._path.name}, name it by "
                f"Explainer(path, head=...), or {again}"
            )
        session = self._opened(path)
        if not _fits(session, self._spec, layer):
            raise InputError(
                f"{path.name} is no head of layer '{layer.name}' of {self._path.name}; keep what "
                f"one export wrote together, or {again}"
            )
        activations = session.spec.layers[0].value
        beside = {name: taken for name, taken in layer.head.inputs.items() if name != activations}
        return Head(session, activations, beside)


def _fits(head: Session, spec: Spec, layer: Layer) -> bool:
    """Whether head and artifact were made from one source, for one layer and score."""
    own, score = head.spec, head.spec.score
    return (
        all(own.source.get(key) == spec.source.get(key) for key in _HASHES)
        and own.layers[0].name == layer.name
        and (score.kind, score.value) == (spec.score.kind, spec.score.value)
        and layer.head is not None
        and set(layer.head.inputs) <= set(head.inputs)
    )
