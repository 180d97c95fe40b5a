"""`Heads` finds the heads of an artifact's layers, checks them and opens them at first use."""

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
        session: The head, an artifact itself, whose target layer is its input.
        activations: Name of that input, [N, C, *space].
        beside: For each other input of the head, the output or input of the whole artifact that
            feeds it.
    """

    session: Session
    activations: str
    beside: dict[str, str]


class Heads:
    """The heads of one artifact; safe to share between threads."""

    def __init__(
        self,
        path: Path,
        spec: Spec,
        open_head: Callable[[Path], Session],
        head: Path | None = None,
    ) -> None:
        """Store the arguments; nothing is opened yet.

        Args:
            path: The artifact.
            spec: Its metadata.
            open_head: Opens a head's file.
            head: A head's file; None: the file beside the artifact that the metadata names.
        """
        self._path, self._spec, self._open_head, self._given = path, spec, open_head, head
        self._by_layer: dict[str, Head] = {}
        self._lock = threading.Lock()

    def of(self, layer: Layer) -> Head:
        """Return the head of a layer.

        Raises:
            InputError: The artifact was exported without heads, the file is missing, or it is the
                head of another model, layer or score.
            SessionError: ONNX Runtime cannot load it.
        """
        with self._lock:
            if layer.name not in self._by_layer:
                self._by_layer[layer.name] = self._open(layer)
            return self._by_layer[layer.name]

    def _open(self, layer: Layer) -> Head:
        again = "export it with extras={'head'} (`graftcam export --extra head`)"
        if layer.head is None:
            raise InputError(
                f"{self._path.name} was exported without the head of layer '{layer.name}', which "
                f"the method reruns; {again}"
            )
        path = self._given or self._path.with_name(layer.head.file)
        if not path.is_file():
            raise InputError(
                f"{path}: no such file, and the method reruns the head of layer '{layer.name}'; "
                f"put {layer.head.file} beside {self._path.name}, name it with "
                f"Explainer(path, head=...), or {again}"
            )
        session = self._open_head(path)
        if not _fits(session, self._spec, layer):
            raise InputError(
                f"{path.name} is not the head of layer '{layer.name}' of {self._path.name}; use "
                f"the files of one export together, or {again}"
            )
        activations = session.spec.layers[0].value
        beside = {name: source for name, source in layer.head.inputs.items() if name != activations}
        return Head(session, activations, beside)


def _fits(head: Session, spec: Spec, layer: Layer) -> bool:
    """Whether head and artifact have the same source, layer and score."""
    own, score = head.spec, head.spec.score
    return (
        all(own.source.get(key) == spec.source.get(key) for key in _HASHES)
        and own.layers[0].name == layer.name
        and (score.kind, score.value) == (spec.score.kind, spec.score.value)
        and layer.head is not None
        and set(layer.head.inputs) <= set(head.inputs)
    )
