"""The description of the interface is true: addresses, options, answers."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for
from starlette.routing import Route
from starlette.testclient import TestClient

from graftcam.runtime.tools.serve.application import routes
from graftcam.runtime.tools.serve.openapi import document
from graftcam.runtime.tools.serve.options import OPTIONS
from support.artifacts import write_artifact
from support.served import explain, served
from support.small_detector import export_detector, write_scene

DOCUMENT = document()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Generator[TestClient]:
    folder = tmp_path_factory.mktemp("models")
    patches = write_artifact(folder / "patches.onnx")
    with served(patches=patches, boxes=export_detector(folder / "boxes.onnx")) as made:
        yield made


def check(value: Any, name: str) -> None:
    """Check a value by a schema of the document, with nothing that the schema does not name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": closed(DOCUMENT["components"])}
    assert validator_for(schema, Draft202012Validator) is Draft202012Validator
    Draft202012Validator(schema).validate(value)


def closed(schema: Any) -> Any:
    """The same schema in which objects have no other properties."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    return made | ({"additionalProperties": False} if "properties" in schema else {})


def test_it_has_every_address_and_no_other(client: TestClient) -> None:
    known = {
        (route.path, method.lower())
        for route in routes()
        if isinstance(route, Route) and route.path != "/" and not route.path.startswith("/page")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert known == {(path, verb) for path, item in DOCUMENT["paths"].items() for verb in item}
    assert client.get("/openapi.json").json() == DOCUMENT


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used: set[str] = set()

    def walk(value: Any) -> None:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            if key == "$ref":
                used.add(item.rpartition("/")[2])
            elif isinstance(item, (dict, list)):
                walk(item)

    walk(DOCUMENT)
    assert used == DOCUMENT["components"]["schemas"].keys()


def test_every_option_is_described() -> None:
    operation = DOCUMENT["paths"]["/api/models/{name}/explain"]["post"]
    assert [one["name"] for one in operation["parameters"]] == ["name", *OPTIONS]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"].keys() == {"image", *OPTIONS}


def test_answers_are_as_described(client: TestClient, tmp_path: Path) -> None:
    check(client.get("/api/models").json(), "Models")
    everything = {"images": ["heatmap", "overlay", "panel"]}
    check(explain(client, **everything).json(), "Answer")
    check(explain(client, **{"class": "empty"}).json(), "Answer")
    scene = write_scene(tmp_path / "scene.png", ("red", 8, 8, 8)).read_bytes()
    found = explain(client, "boxes", scene, **everything).json()
    assert found["explanations"]
    check(found, "Answer")
    check(explain(client, **{"class": "dog"}).json(), "Error")
    check(client.get("/v2/models/patches").json(), "Metadata")


def test_inference_is_as_described(client: TestClient) -> None:
    image = {"name": "image", "shape": [1, 3, 8, 8], "datatype": "FP32",
             "data": np.zeros(192).tolist()}  # fmt: skip
    body = {"id": "a", "inputs": [image], "outputs": [{"name": "logits"}]}
    check(body, "Inference")
    check(client.post("/v2/models/patches/infer", json=body).json(), "Inferred")


def test_the_document_is_openapi() -> None:
    validate = pytest.importorskip("openapi_spec_validator").validate
    validate(DOCUMENT)
