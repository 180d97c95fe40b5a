"""The Open Inference Protocol: metadata, JSON tensors, binary tensors, and what is refused."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from graftcam.runtime import Explainer
from graftcam.runtime.tools.serve.refusals import RefusedError
from graftcam.runtime.tools.serve.settings import Limits
from graftcam.runtime.tools.serve.tensors import DATATYPES, LENGTH, read_inference
from support.artifacts import write_artifact
from support.served import served

ADDRESS = "/v2/models/patches/infer"
IMAGE = np.random.default_rng(0).random((2, 3, 16, 24), np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("model") / "patches.onnx")


@pytest.fixture(scope="module")
def client(path: Path) -> Generator[TestClient]:
    with served(Limits(bytes=300_000), patches=path) as made:
        yield made


def tensor(**changes: Any) -> dict[str, Any]:
    plain = {"name": "image", "shape": list(IMAGE.shape), "datatype": "FP32",
             "data": IMAGE.ravel().tolist()}  # fmt: skip
    return {key: value for key, value in {**plain, **changes}.items() if value is not ...}


def test_the_server_and_the_model_describe_themselves(client: TestClient) -> None:
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/patches/ready").json()["ready"]
    found = client.get("/v2/models/patches").json()
    assert found["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 3, -1, -1]},
        {"name": "class_index", "datatype": "INT64", "shape": [-1, -1], "optional": True},
    ]
    outputs = {one["name"]: one for one in found["outputs"]}
    assert outputs["heatmap"] == {"name": "heatmap", "datatype": "FP32", "shape": [-1, -1, -1, -1]}


def test_tensors_in_json_are_run(client: TestClient, path: Path) -> None:
    classes = {"name": "class_index", "shape": [2, 1], "datatype": "INT64", "data": [[0], [2]]}
    answer = client.post(ADDRESS, json={"id": "7", "inputs": [tensor(), classes]}).json()
    truth = Explainer(path, "cpu").run(IMAGE, [[0], [2]])
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("7", "patches", "1")
    outputs = {one["name"]: one for one in answer["outputs"]}
    # Activations and gradients come only if they are named.
    assert outputs.keys() == {"logits", "classes", "scores", "heatmap"}
    for name, one in outputs.items():
        found = np.array(one["data"], DATATYPES[one["datatype"]]).reshape(one["shape"])
        np.testing.assert_array_equal(found, truth[name])


def test_binary_tensors_give_the_same_bytes(client: TestClient, path: Path) -> None:
    data = IMAGE.astype("<f4").tobytes()
    head = json.dumps({
        "inputs": [tensor(data=..., parameters={"binary_data_size": len(data)})],
        "outputs": [
            {"name": "gradients", "parameters": {"binary_data": True}},
            {"name": "classes"},
        ],
    }).encode()  # fmt: skip
    answer = client.post(ADDRESS, content=head + data, headers={LENGTH: str(len(head))})
    assert answer.headers["content-type"] == "application/octet-stream"
    size = int(answer.headers[LENGTH])
    gradients, classes = json.loads(answer.content[:size])["outputs"]
    truth = Explainer(path, "cpu").run(IMAGE)
    rest = answer.content[size:]
    assert len(rest) == gradients["parameters"]["binary_data_size"]
    found = np.frombuffer(rest, "<f4").reshape(gradients["shape"])
    np.testing.assert_array_equal(found, truth["gradients"])
    assert classes["data"] == truth["classes"].ravel().tolist()


def test_all_outputs_can_be_binary(client: TestClient) -> None:
    body = {"inputs": [tensor()], "parameters": {"binary_data_output": True}}
    answer = client.post(ADDRESS, json=body)
    outputs = json.loads(answer.content[: int(answer.headers[LENGTH])])["outputs"]
    assert all("binary_data_size" in one["parameters"] for one in outputs)


def test_what_json_lacks_becomes_null(client: TestClient) -> None:
    body = {"inputs": [tensor(data=[3e38] * IMAGE.size)], "outputs": [{"name": "logits"}]}
    (logits,) = client.post(ADDRESS, json=body).json()["outputs"]
    assert None in logits["data"]


WRONG = {
    "no json": (b"{", "no JSON"),
    "a list": ([], "the request is no JSON object"),
    "no inputs": ({}, "inputs is no list"),
    "an input that is no object": ({"inputs": [1]}, "an input is no JSON object"),
    "an input without a name": ({"inputs": [tensor(name=...)]}, "has no name"),
    "twice": ({"inputs": [tensor(), tensor()]}, "'image' is given twice"),
    "unknown input": ({"inputs": [tensor(name="photo")]}, "unknown ['photo']"),
    "unknown type": ({"inputs": [tensor(datatype="BYTES")]}, "has datatype 'BYTES'"),
    "type of another input": (
        {"inputs": [tensor(datatype="INT64", data=[0] * IMAGE.size)]}, "pass float32"),
    "too few values": ({"inputs": [tensor(data=[1.0])]}, "has 1 values for shape"),
    "ragged lists": ({"inputs": [tensor(data=[[1, 2], [3]])]}, "differ in length"),
    "texts": ({"inputs": [tensor(data=["x"] * IMAGE.size)]}, "other values than FP32"),
    "no data": ({"inputs": [tensor(data=...)]}, "has no data"),
    "a shape of words": ({"inputs": [tensor(shape=["a"])]}, "no list of at most 16 sizes"),
    "a negative shape": ({"inputs": [tensor(shape=[-1])]}, "no list of at most 16 sizes"),
    "a huge shape": ({"inputs": [tensor(shape=[1 << 30, 1 << 30, 1 << 30])]}, "too large"),
    "a huge shape of nothing": (
        {"inputs": [tensor(shape=[0, 1 << 30, 1 << 30, 1 << 30], data=[])]}, "too large"),
    "an extent beyond all": ({"inputs": [tensor(shape=[1 << 31])]}, "sizes from 0 to 2147483647"),
    "a truth among numbers": (
        {"inputs": [tensor(data=[True] + [0.0] * (IMAGE.size - 1))]}, "other values than FP32"),
    "more classes than allowed": (
        {"inputs": [tensor(), {"name": "class_index", "shape": [1, 11], "datatype": "INT64",
                               "data": [0] * 11}]}, "has 11 scores for each image"),
    "another rank": ({"inputs": [tensor(shape=[IMAGE.size])]}, "has shape"),
    "a class beyond": (
        {"inputs": [tensor(), {"name": "class_index", "shape": [1, 1], "datatype": "INT64",
                               "data": [9]}]}, "class 9 is out of range"),
    "beyond the type": (
        {"inputs": [tensor(), {"name": "class_index", "shape": [1, 1], "datatype": "UINT8",
                               "data": [300]}]}, "values beyond 0 to 255"),
    "unknown output": ({"inputs": [tensor()], "outputs": [{"name": "x"}]}, "unknown output 'x'"),
    "outputs of words": ({"inputs": [tensor()], "outputs": ["x"]}, "an output is no JSON object"),
    "binary data of another size": (
        {"inputs": [tensor(data=..., parameters={"binary_data_size": 8})]}, "takes 9216 bytes"),
    "binary data that is not there": (
        {"inputs": [tensor(data=..., parameters={"binary_data_size": 9216})]}, "0 bytes are left"),
    "nested beyond reason": (b'{"inputs":' + b"[" * 90_000 + b"]" * 90_000 + b"}", "deep"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "words"), WRONG.values(), ids=WRONG)
def test_wrong_requests(client: TestClient, body: Any, words: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post(ADDRESS, content=data)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["error"]
    assert client.post(ADDRESS, json={"inputs": [tensor()]}).status_code == 200


def test_a_text_among_numbers_takes_no_more_than_its_room() -> None:
    """numpy would give each of the numbers as much as the text."""
    data = ["x" * 1_000_000, *[0] * 100]
    body = json.dumps({"inputs": [tensor(shape=[101], data=data)]}).encode()
    tracemalloc.start()
    with pytest.raises(RefusedError, match="other values than FP32"):
        read_inference(body, None)
    assert tracemalloc.get_traced_memory()[1] < 20 * len(body)
    tracemalloc.stop()


def test_texts_are_not_sent(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        client.service.model("patches").steps.session.types, "scores", "tensor(string)"
    )
    named = {"inputs": [tensor()], "outputs": [{"name": "scores"}]}
    answer = client.post(ADDRESS, json=named)
    assert (answer.status_code, answer.json()["error"][:30]) == (
        400,
        "output 'scores' is tensor(stri",
    )
    outputs = client.post(ADDRESS, json={"inputs": [tensor()]}).json()["outputs"]
    assert {one["name"] for one in outputs} == {"logits", "classes", "heatmap"}


@pytest.mark.parametrize("length", ["x", "-1", "99999999", "1" * 5000])
def test_a_wrong_size_of_the_head(client: TestClient, length: str) -> None:
    answer = client.post(ADDRESS, json={"inputs": [tensor()]}, headers={LENGTH: length})
    assert answer.status_code == 400
    assert "no size within" in answer.json()["error"]


def test_a_body_beyond_the_limit(client: TestClient) -> None:
    answer = client.post(ADDRESS, content=b" " * 300_001)
    assert answer.status_code == 413


def test_bytes_that_belong_to_nothing(client: TestClient) -> None:
    head = json.dumps({"inputs": [tensor()]}).encode()
    answer = client.post(ADDRESS, content=head + b"123", headers={LENGTH: str(len(head))})
    assert "3 bytes of binary data belong to no input" in answer.json()["error"]


@pytest.mark.parametrize("kind", DATATYPES)
def test_every_type_is_read_from_json_and_from_bytes(kind: str) -> None:
    values = np.array([[0, 1], [1, 0]]).astype(DATATYPES[kind])
    of_json = json.dumps({
        "inputs": [{"name": "x", "shape": [2, 2], "datatype": kind, "data": values.tolist()}]
    }).encode()  # fmt: skip
    size = {"binary_data_size": values.nbytes}
    head = json.dumps({
        "inputs": [{"name": "x", "shape": [2, 2], "datatype": kind, "parameters": size}]
    }).encode()  # fmt: skip
    for found in (
        read_inference(of_json, None), read_inference(head + values.tobytes(), str(len(head))),
    ):  # fmt: skip
        np.testing.assert_array_equal(found.arrays["x"], values)
        assert found.arrays["x"].dtype == values.dtype
