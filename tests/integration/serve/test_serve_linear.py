"""Linear scores: a request sends the weights of the output instead of classes."""

from __future__ import annotations

import base64
import io
from collections.abc import Generator
from functools import partial
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from graftcam.runtime import Explainer
from graftcam.runtime.tools.serve.settings import Limits
from support.artifacts import SCENE, write_artifact
from support.paths import DATA
from support.queued import ask_together
from support.served import explain, picture, served

MODEL = DATA / "spec1" / "spec1-linear.onnx"
ADDRESS = "/api/models/linear/explain"
WEIGHTS = np.array([[0.0, 1.0, -1.0], [2.0, 0.5, 0.0]])


@pytest.fixture
def client() -> Generator[TestClient]:
    with served(Limits(top=3), linear=MODEL) as made:
        yield made


def send(client: TestClient, weights: Any) -> Any:
    """Send weights as a file."""
    stream = io.BytesIO()
    np.save(stream, weights)
    files = {"image": ("x.png", picture()), "score_weights": ("w.npy", stream.getvalue())}
    return client.post(ADDRESS, files=files)


def raw_map(entry: dict[str, Any]) -> np.ndarray:
    data = base64.b64decode(entry["map"]["data"])
    return np.frombuffer(data, "<f4").reshape(entry["map"]["shape"])


def test_weights_are_numbers_or_a_file(client: TestClient) -> None:
    truth = Explainer(MODEL, "cpu").explain(SCENE, score_weights=WEIGHTS)
    several = send(client, WEIGHTS).json()
    assert several["predictions"] == []
    assert [one["label"] for one in several["explanations"]] == ["0", "1"]
    for position, entry in enumerate(several["explanations"]):
        np.testing.assert_array_equal(raw_map(entry), truth.maps[position])
        assert entry["score"] == pytest.approx(float(truth.scores[position]))
    for one in (explain(client, "linear", score_weights="0,1,-1"), send(client, WEIGHTS[0])):
        (entry,) = one.json()["explanations"]
        np.testing.assert_allclose(raw_map(entry), truth.maps[0], rtol=1e-4, atol=1e-6)
    assert client.get("/api/models/linear").json()["score_weights"] == [3]


def test_the_weights_of_one_run_may_differ(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [{"score_weights": text} for text in ("0,1,-1", "2,0.5,0", "-1,0,3")]
    alone = [explain(client, "linear", **one).json()["explanations"] for one in queries]
    first = partial(explain, client, "linear", score_weights="1,1,1", method="fem")
    asks = [partial(explain, client, "linear", **one) for one in queries]
    found = [one.json() for one in ask_together(client, "linear", first, asks, monkeypatch)]
    assert [one["batch"] for one in found] == [3, 3, 3]
    for one, truth in zip(found, alone, strict=True):
        assert one["explanations"][0]["score"] == pytest.approx(truth[0]["score"], rel=1e-5)
        np.testing.assert_allclose(
            raw_map(one["explanations"][0]), raw_map(truth[0]), rtol=1e-4, atol=1e-6
        )


def test_weights_are_not_remembered(client: TestClient) -> None:
    for number in range(3):
        assert explain(client, "linear", score_weights=f"{number},1,0").status_code == 200
    assert not client.service.model("linear")._plans  # pyright: ignore


WRONG = {
    "too few numbers": ({"score_weights": "1,2"}, "pass numbers"),
    "words": ({"score_weights": "a,b,c"}, "score_weights='a,b,c' is not numbers with commas"),
    "not finite": ({"score_weights": "nan,1,2"}, "not finite"),
    "none": ({}, "pass score_weights"),
    "a class": ({"class": "1"}, "not classes"),
    "twice": ({"score_weights": ["1,2,3", "1,2,3"]}, "given twice"),
}


@pytest.mark.parametrize(("query", "words"), WRONG.values(), ids=WRONG)
def test_wrong_weights(client: TestClient, query: dict[str, Any], words: str) -> None:
    answer = explain(client, "linear", **query)
    assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text


def test_a_file_of_too_many_or_other_weights(client: TestClient) -> None:
    for weights, words in (
        (np.zeros((4, 3)), "score_weights has 4 scores; give at most 3"),
        (np.zeros((2, 5)), "pass numbers"),
        (np.array(["a"]), "score_weights is no array of numbers"),
    ):
        answer = send(client, weights)
        assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text


def test_a_model_of_classes_takes_none(tmp_path: Any) -> None:
    with served(patches=write_artifact(tmp_path / "m.onnx")) as client:
        answer = explain(client, score_weights="1,0,0,0")
        assert answer.status_code == 400
        assert "takes no score_weights" in answer.json()["error"]
