"""`document` describes the interface as OpenAPI 3.1, made from the same tables as the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...version import __version__
from .options import OPTIONS
from .schemas import SCHEMAS, TEXT, WHOLE, Json, list_of, reference
from .tensors import LENGTH

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
            "/metrics": _get(
                "Metrics for Prometheus", _media("The metrics.", "text/plain", TEXT), 404),
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
                "content": {"application/json": {"schema": reference("Answer")},
                            "image/png": {"schema": {}}},
            },
            **_refusals(*_ERRORS),
        },
    }  # fmt: skip


def _infer() -> Json:
    length = {"name": LENGTH, "in": "header", "required": False, "schema": WHOLE,
              "description": "Size of the JSON, if binary data follow it."}  # fmt: skip
    both = {
        "application/json": {"schema": reference("Inference")},
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


_NAME: Json = {"name": "name", "in": "path", "required": True, "schema": TEXT,
               "description": "The model."}  # fmt: skip


def _parameter(name: str) -> Json:
    """Return an option as a parameter of the query."""
    option = OPTIONS[name]
    schema = list_of(dict(option.schema)) if option.several else dict(option.schema)
    return {"name": name, "in": "query", "required": False, "description": option.text,
            "schema": schema, "style": "form", "explode": True}  # fmt: skip


def _form() -> Json:
    """Return the schema of a form: the image, and the options."""
    fields = {
        name: {
            **(list_of(dict(option.schema)) if option.several else option.schema),
            "description": option.text,
        }
        for name, option in OPTIONS.items()
    }
    return {"type": "object", "required": ["image"], "properties": {"image": {}, **fields}}


def _get(summary: str, answer: Json, *statuses: int, named: bool = False) -> Json:
    found: Json = {"summary": summary, "responses": {"200": answer, **_refusals(*statuses)}}
    return {"get": {**found, "parameters": [_NAME]} if named else found}


def _refusals(*statuses: int) -> Json:
    error = {"application/json": {"schema": reference("Error")}}
    return {str(status): {"description": _ERRORS[status], "content": error} for status in statuses}


def _json(name: str) -> Json:
    return _media("The answer.", "application/json", reference(name))


def _any(text: str) -> Json:
    return _media(text, "application/json", {"type": "object"})


def _media(text: str, kind: str, schema: Mapping[str, Any]) -> Json:
    return {"description": text, "content": {kind: {"schema": dict(schema)}}}
