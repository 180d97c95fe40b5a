"""`bill_of_materials` describes an artifact as CycloneDX 1.6: what is in it, and where it is from.

The document is plain JSON and follows from the artifact's files alone, so that the same files give
the same document. https://cyclonedx.org/docs/1.6/json
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from ..spec import Spec
from ..version import __version__
from .digests import Digests, read_digests
from .entries import read_spec
from .files import files_of, sha256_of

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_MODEL = "machine-learning-model"


def bill_of_materials(artifact: Path) -> dict[str, Any]:
    """Return the CycloneDX document of an artifact.

    Raises:
        CustodyError: A file is missing or damaged.
        SpecError: It is no artifact.
    """
    spec, digests = read_spec(artifact), read_digests(artifact)
    first, *others = [_file(path) for path in files_of(artifact)]
    digest = first["hashes"][0]["content"]
    component = {
        **first,
        "type": _MODEL,
        "bom-ref": "artifact",
        "description": f"{spec.source.get('name', 'a model')} that explains itself (graftcam)",
        # An artifact does not record the licence of its source.
        "licenses": [{"license": {"name": "unknown"}}],
        "pedigree": {"ancestors": [_source(spec)]},
        "modelCard": _card(spec, digests),
    }
    if others:
        component["components"] = others
    writer = {"type": "application", "name": "graftcam", "version": __version__}
    return {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'sha256:{digest}')}",
        "version": 1,
        "metadata": {"tools": {"components": [writer]}, "component": component},
    }


def _file(path: Path) -> dict[str, Any]:
    hashes = [{"alg": "SHA-256", "content": sha256_of(path)}]
    return {"type": "file", "name": path.name, "hashes": hashes}


def _source(spec: Spec) -> dict[str, Any]:
    """The model that the artifact was made from; its digests are not those of a file."""
    about = {name: text for name, text in spec.source.items() if name != "name"}
    return {
        "type": _MODEL,
        "bom-ref": "source",
        "name": spec.source.get("name", "unknown"),
        "properties": _properties("source", about),
    }


def _card(spec: Spec, digests: Digests | None) -> dict[str, Any]:
    verdict = spec.verification
    metrics = [
        {"type": f"relative error of {name}", "value": f"{error:.3g}"}
        for name, error in verdict.errors.items()
    ]
    card: dict[str, Any] = {
        "modelParameters": _parameters(spec),
        "properties": [
            *_properties("artifact", {
                "specification": str(spec.version),
                "layers": ", ".join(layer.name for layer in spec.layers),
                "score": spec.score.kind,
            }),
            *_properties("digest", {} if digests is None else {
                "graph_sha256": digests.graph, "weights_sha256": digests.weights,
            }),
            *_properties("verification", {
                "verdict": verdict.verdict, "reference": verdict.reference,
                "inputs": str(verdict.images), "onnxruntime": verdict.onnxruntime or "unknown",
            }),
            *_properties("tool", spec.tools),
        ],
    }  # fmt: skip
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    if verdict.unproven:
        card["considerations"] = {"technicalLimitations": verdict.unproven}
    return card


def _parameters(spec: Spec) -> dict[str, Any]:
    found: dict[str, Any] = {"outputs": [{"format": name} for name in spec.own_outputs]}
    if spec.detector is not None:
        found["task"] = "object detection"
    elif spec.labels is not None:
        found["task"] = "classification"
    if spec.preprocess is not None:
        found["inputs"] = [{"format": "image"}]
    return found


def _properties(group: str, values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": f"graftcam:{group}:{name}", "value": text} for name, text in values.items()]
