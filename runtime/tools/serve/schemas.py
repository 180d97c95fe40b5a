"""`SCHEMAS` describe what the service takes and answers, for its OpenAPI document."""

from __future__ import annotations

from typing import Any, get_args

from ...spec import Verdict
from .tensors import DATATYPES

Json = dict[str, Any]
TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
WHOLE: Json = {"type": "integer"}
_FLAG: Json = {"type": "boolean"}
_PNG: Json = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}


def list_of(of: Json) -> Json:
    """Return the schema of a list."""
    return {"type": "array", "items": of}


def _or_null(of: Json) -> Json:
    return {**of, "type": [of["type"], "null"]}


def _object(optional: tuple[str, ...] = (), **properties: Json) -> Json:
    """Return the schema of an object all of whose properties are there but the optional ones."""
    names = {name.rstrip("_"): schema for name, schema in properties.items()}
    required = [name for name in names if name not in optional]
    return {"type": "object", "properties": names, "required": required}


def reference(name: str) -> Json:
    """Refer to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: dict[str, Json] = {
    "Error": _object(error={**TEXT, "description": "One line: what is wrong, and the remedy."}),
    "Models": _object(models=list_of(reference("Model"))),
    "Model": _object(
        name=TEXT, digest=TEXT, source=TEXT,
        kind={"enum": ["classes", "detector", "similarity", "linear"]}, outputs=list_of(TEXT),
        layers=list_of(_object(name=TEXT, grid=_or_null(list_of(WHOLE)))),
        methods=list_of(_object(id=TEXT, title=TEXT, signed=_FLAG, default=_FLAG,
                              cost={"enum": ["one run", "many runs"]})),
        labels=_or_null(list_of(TEXT)), classes=_or_null(WHOLE),
        score_weights={**_or_null(list_of(WHOLE)),
                       "description": "Extents of a linear score's weights; -1: any."},
        output_labels={**_or_null({"type": "object"}),
                       "description": "Class names by output; null: there is one output."},
        verification=_object(
            ("checks", "onnxruntime", "unproven", "engine"),
            verdict={"enum": [*get_args(Verdict)]}, reference=TEXT, images=WHOLE, seed=WHOLE,
            errors={"type": "object"}, thresholds={"type": "object"}, checks={"type": "object"},
            onnxruntime=TEXT, unproven=list_of(TEXT), engine=TEXT),
        input=_object(name=TEXT, height=_or_null(WHOLE), width=_or_null(WHOLE),
                      formats=list_of(TEXT), image=_FLAG,
                      further=list_of(_object(name=TEXT, datatype=TEXT, shape=list_of(WHOLE)))),
        limits=_object(bytes=WHOLE, pixels=WHOLE, top=WHOLE),
    ),
    "Prediction": _object(
        class_=WHOLE, label=TEXT, score=_or_null(_NUMBER), probability=_or_null(_NUMBER),
    ),
    "Explanation": _object(
        ("number", "why", "heatmap", "overlay"),
        class_=WHOLE, label=TEXT, score=_or_null(_NUMBER), probability=_or_null(_NUMBER),
        method=TEXT, layer=TEXT, signed=_FLAG, minimum=_or_null(_NUMBER),
        maximum=_or_null(_NUMBER), empty=_FLAG,
        status={"enum": ["ok", "zero", "constant", "nonfinite"]},
        box=_or_null(list_of(_NUMBER)), number=WHOLE, why=TEXT,
        map=_object(
            shape=list_of(WHOLE),
            data={**TEXT, "contentEncoding": "base64",
                  "description": "The raw map: float32, little-endian, row by row."},
        ),
        place={**_or_null(list_of(_NUMBER)),
               "description": "Corners of the map in pixels of the image: x0, y0, x1, y1."},
        heatmap={**_PNG, "description": "8-bit grey of the image's size, 255 = most evidence; "
                                        "signed: 128 = none."},
        overlay=_PNG,
    ),
    "Answer": _object(
        ("detections", "best", "near_miss", "panel"),
        model=TEXT, image=_object(name=TEXT, width=WHOLE, height=WHOLE),
        milliseconds=_NUMBER, batch=WHOLE, predictions=list_of(reference("Prediction")),
        explanations=list_of(reference("Explanation")), detections=list_of({"type": "object"}),
        best={**_or_null({"type": "object"}),
              "description": "A detector's best candidate, which may be below the threshold."},
        near_miss={**_FLAG, "description": "Whether the only detection is that candidate."},
        panel=_PNG,
    ),
    "Tensor": _object(
        ("data", "parameters"),
        name=TEXT, shape=list_of(WHOLE), datatype={"enum": [*DATATYPES]},
        data={"type": "array"}, parameters={"type": "object"},
    ),
    "Inference": _object(
        ("id", "outputs", "parameters"),
        id=TEXT, inputs=list_of(reference("Tensor")),
        outputs=list_of(_object(("parameters",), name=TEXT, parameters={"type": "object"})),
        parameters={"type": "object"},
    ),
    "Inferred": _object(
        ("id",), model_name=TEXT, model_version=TEXT, id=TEXT, outputs=list_of(reference("Tensor")),
    ),
    "Metadata": _object(
        name=TEXT, versions=list_of(TEXT), platform=TEXT, inputs=list_of({"type": "object"}),
        outputs=list_of({"type": "object"}),
    ),
}  # fmt: skip
"""Every schema by name."""
