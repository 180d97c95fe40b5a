"""`document` describes the interface as OpenAPI 3.1, made from the same tables as the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from ...spec import Verdict
from ...version import __version__
from .options import OPTIONS
from .tensors import DATATYPES, LENGTH

Json = dict[str, Any]
_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_WHOLE: Json = {"type": "integer"}
_FLAG: Json = {"type": "boolean"}
_PNG: Json = {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}

_ERRORS = {
    400: "An option, a class or a tensor is wrong.",
    404: "There is no such model or address.",
    408: "The body did not come in time.",
    413: "The body has too many bytes, or the image too many pixels.",
    415: "The body is no image, or it is compressed.",
    429: "The queue is full; try again after Retry-After seconds.",
    500: "The model or the service failed.",
    503: "The service is loading or stopping.",
    504: "The answer took too long.",
}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


def _or_null(of: Json) -> Json:
    return {**of, "type": [of["type"], "null"]}


def _object(optional: tuple[str, ...] = (), **properties: Json) -> Json:
    """Return the schema of an object all of whose properties are there but the optional ones."""
    names = {name.rstrip("_"): schema for name, schema in properties.items()}
    required = [name for name in names if name not in optional]
    return {"type": "object", "properties": names, "required": required}


def _schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


SCHEMAS: dict[str, Json] = {
    "Error": _object(error={**_TEXT, "description": "One line: what is wrong, and the remedy."}),
    "Models": _object(models=_list(_schema("Model"))),
    "Model": _object(
        name=_TEXT, digest=_TEXT, source=_TEXT,
        kind={"enum": ["classes", "detector", "similarity", "linear"]}, outputs=_list(_TEXT),
        layers=_list(_object(name=_TEXT, grid=_or_null(_list(_WHOLE)))),
        methods=_list(_object(id=_TEXT, title=_TEXT, signed=_FLAG, default=_FLAG,
                              cost={"enum": ["one run", "many runs"]})),
        labels=_or_null(_list(_TEXT)), classes=_or_null(_WHOLE),
        score_weights={**_or_null(_list(_WHOLE)),
                       "description": "Extents of a linear score's weights; -1: any."},
        output_labels={**_or_null({"type": "object"}),
                       "description": "Class names by output; null: there is one output."},
        verification=_object(
            ("checks", "onnxruntime", "unproven", "engine"),
            verdict={"enum": [*get_args(Verdict)]}, reference=_TEXT, images=_WHOLE, seed=_WHOLE,
            errors={"type": "object"}, thresholds={"type": "object"}, checks={"type": "object"},
            onnxruntime=_TEXT, unproven=_list(_TEXT), engine=_TEXT),
        input=_object(name=_TEXT, height=_or_null(_WHOLE), width=_or_null(_WHOLE),
                      formats=_list(_TEXT), image=_FLAG,
                      further=_list(_object(name=_TEXT, datatype=_TEXT, shape=_list(_WHOLE)))),
        limits=_object(bytes=_WHOLE, pixels=_WHOLE, top=_WHOLE),
    ),
    "Prediction": _object(
        class_=_WHOLE, label=_TEXT, score=_or_null(_NUMBER), probability=_or_null(_NUMBER),
    ),
    "Explanation": _object(
        ("number", "why", "heatmap", "overlay"),
        class_=_WHOLE, label=_TEXT, score=_or_null(_NUMBER), probability=_or_null(_NUMBER),
        method=_TEXT, layer=_TEXT, signed=_FLAG, minimum=_or_null(_NUMBER),
        maximum=_or_null(_NUMBER), empty=_FLAG,
        status={"enum": ["ok", "zero", "constant", "nonfinite"]},
        box=_or_null(_list(_NUMBER)), number=_WHOLE, why=_TEXT,
        map=_object(
            shape=_list(_WHOLE),
            data={**_TEXT, "contentEncoding": "base64",
                  "description": "The raw map: float32, little-endian, row by row."},
        ),
        place={**_or_null(_list(_NUMBER)),
               "description": "Corners of the map in pixels of the image: x0, y0, x1, y1."},
        heatmap={**_PNG, "description": "8-bit grey of the image's size, 255 = most evidence; "
                                        "signed: 128 = none."},
        overlay=_PNG,
    ),
    "Answer": _object(
        ("detections", "best", "near_miss", "panel"),
        model=_TEXT, image=_object(name=_TEXT, width=_WHOLE, height=_WHOLE),
        milliseconds=_NUMBER, batch=_WHOLE, predictions=_list(_schema("Prediction")),
        explanations=_list(_schema("Explanation")), detections=_list({"type": "object"}),
        best={**_or_null({"type": "object"}),
              "description": "A detector's best candidate, which may be below the threshold."},
        near_miss={**_FLAG, "description": "Whether the only detection is that candidate."},
        panel=_PNG,
    ),
    "Tensor": _object(
        ("data", "parameters"),
        name=_TEXT, shape=_list(_WHOLE), datatype={"enum": [*DATATYPES]},
        data={"type": "array"}, parameters={"type": "object"},
    ),
    "Inference": _object(
        ("id", "outputs", "parameters"),
        id=_TEXT, inputs=_list(_schema("Tensor")),
        outputs=_list(_object(("parameters",), name=_TEXT, parameters={"type": "object"})),
        parameters={"type": "object"},
    ),
    "Inferred": _object(
        ("id",), model_name=_TEXT, model_version=_TEXT, id=_TEXT, outputs=_list(_schema("Tensor")),
    ),
    "Metadata": _object(
        name=_TEXT, versions=_list(_TEXT), platform=_TEXT, inputs=_list({"type": "object"}),
        outputs=_list({"type": "object"}),
    ),
}  # fmt: skip
"""Every schema by name."""


def document() -> Json:
    """Return the description, in JSON's types."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "graftcam serve", "version": __version__, "license": {"name": "MIT"},
            "description": "Predictions of ONNX models, and where in the image they come from.",
        },
        "servers": [{"url": "."}],
        "paths": {
            "/api/models": _get("List the models", _json("Models")),
            "/api/models/{name}": _get("Describe a model", _json("Model"), 404, named=True),
            "/api/models/{name}/explain": {"post": _explain()},
            "/healthz": _get("Say that the process runs", _any("The process runs.")),
            "/readyz": _get("Say whether requests are accepted", _any("They are."), 503),
            "/metrics": _get("Metrics for Prometheus", _media("The metrics.", "text/plain", _TEXT)),
            "/openapi.json": _get("This document", _any("OpenAPI 3.1.")),
            "/v2": _get("Open Inference Protocol: the server", _any("Name and extensions.")),
            "/v2/health/live": _get("Open Inference Protocol: live", _any("It is.")),
            "/v2/health/ready": _get("Open Inference Protocol: ready", _any("It is."), 503),
            "/v2/models/{name}": _get(
                "Open Inference Protocol: inputs and outputs", _json("Metadata"), 404, named=True),
            "/v2/models/{name}/ready": _get(
                "Open Inference Protocol: a model is ready", _any("It is."), 404, 503, named=True),
            "/v2/models/{name}/infer": {"post": _infer()},
        },
        "components": {"schemas": SCHEMAS},
    }  # fmt: skip


def _explain() -> Json:
    return {
        "summary": "Explain an image",
        "operationId": "explain",
        "parameters": [_NAME, *map(_parameter, OPTIONS)],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _form()},
                "image/*": {"schema": {}},
                "application/octet-stream": {"schema": {}},
            },
        },
        "responses": {
            "200": {
                "description": "The explanation; with Accept: image/png the overlay of the first "
                               "class, or the panel.",
                "content": {"application/json": {"schema": _schema("Answer")},
                            "image/png": {"schema": {}}},
            },
            **_refusals(*_ERRORS),
        },
    }  # fmt: skip


def _infer() -> Json:
    length = {"name": LENGTH, "in": "header", "required": False, "schema": _WHOLE,
              "description": "Size of the JSON, if binary data follow it."}  # fmt: skip
    both = {
        "application/json": {"schema": _schema("Inference")},
        "application/octet-stream": {"schema": {}},
    }
    answer = {**_json("Inferred")["content"], "application/octet-stream": {"schema": {}}}
    return {
        "summary": "Open Inference Protocol: run the artifact",
        "operationId": "infer",
        "parameters": [_NAME, length],
        "requestBody": {"required": True, "content": both},
        "responses": {
            "200": {"description": "The outputs.", "content": answer},
            **_refusals(*_ERRORS),
        },
    }


_NAME: Json = {"name": "name", "in": "path", "required": True, "schema": _TEXT,
               "description": "The model."}  # fmt: skip


def _parameter(name: str) -> Json:
    """Return an option as a parameter of the query."""
    option = OPTIONS[name]
    schema = _list(dict(option.schema)) if option.several else dict(option.schema)
    return {"name": name, "in": "query", "required": False, "description": option.text,
            "schema": schema, "style": "form", "explode": True}  # fmt: skip


def _form() -> Json:
    """Return the schema of a form: the image, and the options."""
    fields = {
        name: {
            **(_list(dict(option.schema)) if option.several else option.schema),
            "description": option.text,
        }
        for name, option in OPTIONS.items()
    }
    return {"type": "object", "required": ["image"], "properties": {"image": {}, **fields}}


def _get(summary: str, answer: Json, *statuses: int, named: bool = False) -> Json:
    found: Json = {"summary": summary, "responses": {"200": answer, **_refusals(*statuses)}}
    return {"get": {**found, "parameters": [_NAME]} if named else found}


def _refusals(*statuses: int) -> Json:
    error = {"application/json": {"schema": _schema("Error")}}
    return {str(status): {"description": _ERRORS[status], "content": error} for status in statuses}


def _json(name: str) -> Json:
    return _media("The answer.", "application/json", _schema(name))


def _any(text: str) -> Json:
    return _media(text, "application/json", {"type": "object"})


def _media(text: str, kind: str, schema: Mapping[str, Any]) -> Json:
    return {"description": text, "content": {kind: {"schema": dict(schema)}}}
