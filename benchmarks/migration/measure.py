"""`measure` compares the maps of each package with graftcam's, and returns the figures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from graftcam.exporter import export
from graftcam.runtime import Explainer

from ..script import say
from .case import LAYER, Array, Case, agreement
from .convert import CONVERSIONS
from .keras_twin import SIZE, build_twin
from .peers import maps_of
from .subject import LABELS, Subject
from .table import CASES

_EXTRAS = {"head", "guided"}


class Artifacts:
    """The artifact that corresponds to the model of each package."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self._subject = subject
        self._folder = folder

    def map_of(self, peer: str, case: Case) -> Array:
        """Return graftcam's raw map of a case for a package's model, [h, w]."""
        best, second = self._subject.classes
        keras = peer in ("tf-keras-vis", "Xplique")
        explainer = self._keras if keras else self._plain if peer == "OpenVINO XAI" else self._torch
        pixels = self._subject.pixels[0]
        found = explainer.explain(
            pixels.transpose(1, 2, 0) if keras else pixels,
            [best, second] if case.second else [best],
            method=case.method,
            options=case.options,
            augment=case.augment,
        )
        return found.maps[0]

    @cached_property
    def _torch(self) -> Explainer:
        return self._exported("torch", self._subject.model, LAYER, self._subject.pixels)

    @cached_property
    def _keras(self) -> Explainer:
        os.environ["KERAS_BACKEND"] = "torch"
        import keras

        state = self._subject.state()
        twin = build_twin(keras, state)
        pixels = state["pixels"]
        theirs, ours = np.asarray(twin.predict(pixels, verbose=0))[0], self._subject.scores
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
        return self._exported("keras", twin, LAYER, pixels)

    @cached_property
    def _plain(self) -> Explainer:
        plain = self._folder / "to-explain.onnx"
        node = self._subject.write_plain(plain)
        path = self._folder / "explained.onnx"
        export(plain, path, layers=node, extras=_EXTRAS, verify="off")
        return Explainer(path, "cpu")

    def _exported(self, name: str, model: Any, layer: str, pixels: Array) -> Explainer:
        import torch

        path = self._folder / f"{name}.onnx"
        # The comparison with six packages is a verification.
        export(model, path, (torch.from_numpy(np.ascontiguousarray(pixels)),), layers=layer,
               extras=_EXTRAS, verify="off")  # fmt: skip
        return Explainer(path, "cpu")


def measure(
    peers: Sequence[str], subject: Subject, environments: Path, earlier: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the record of docs/migration.json.

    Args:
        peers: The packages to compare; figures of the others are taken from ``earlier``.
        subject: The model and the photograph.
        environments: Where environments of other packages are.
        earlier: The stored figures by package.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Artifacts(subject, Path(folder))
        for peer, cases in CASES.items():
            if peer not in peers:
                found[peer] = earlier[peer]
                continue
            version, maps = maps_of(peer, subject, Path(folder), environments)
            say(f"{peer} {version}")
            rows: list[dict[str, Any]] = []
            for case in cases:
                if case.call not in maps:
                    continue
                ours = CONVERSIONS[case.convert](artifacts.map_of(peer, case), (SIZE, SIZE))
                row = agreement(maps[case.call], ours)
                say(f"  {row['correlation']:.6f} {row['difference']:.1e} {case.call}")
                rows.append({
                    "call": case.call, "method": case.method,
                    # Further digits differ from run to run.
                    "difference": float(f"{row['difference']:.1e}"),
                    "correlation": round(row["correlation"], 6),
                })  # fmt: skip
            found[peer] = {"version": version, "rows": rows}
    return {
        "packages": subject.packages,
        "versions": {name: metadata.version(name) for name in ("torch", "onnxruntime", "keras")},
        "classes": [{"id": one, "label": LABELS[one], "score": float(subject.scores[one])}
                    for one in subject.classes],
        "peers": found,
    }  # fmt: skip
