"""Requests of tensors that wait together share a run, and get what each gets alone."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from graftcam.runtime import Explainer
from graftcam.runtime.errors import RunError
from graftcam.runtime.inputs.raw_feeds import Selection, raw_feeds
from graftcam.runtime.tools.serve.tensor_runs import run_together, tensor_run
from graftcam.runtime.tools.serve.tensors import DATATYPES
from support.artifacts import write_artifact, write_segmenter
from support.artifacts_nd import write_nd
from support.exports import exported_digits
from support.paths import DATA
from support.queued import ask_together
from support.served import explain, served
from support.small_detector import export_detector

DRAW = np.random.default_rng(0)
LINEAR = DATA / "spec1" / "spec1-linear.onnx"


@pytest.fixture
def client(artifact: Path) -> Generator[TestClient]:
    with served(patches=artifact) as made:
        yield made


def image(rows: int, height: int = 16) -> dict[str, np.ndarray]:
    return {"image": DRAW.random((rows, 3, height, 24), np.float32)}


def classes(*rows: list[int]) -> dict[str, np.ndarray]:
    return {"class_index": np.array(rows)}


def body(arrays: dict[str, np.ndarray], *names: str) -> dict[str, Any]:
    kinds = {np.dtype(kind): name for name, kind in DATATYPES.items()}
    inputs = [
        {"name": name, "shape": list(value.shape), "datatype": kinds[value.dtype],
         "data": value.ravel().tolist()}
        for name, value in arrays.items()
    ]  # fmt: skip
    return {"inputs": inputs} | ({"outputs": [{"name": name} for name in names]} if names else {})


def arrays_of(answer: Any) -> dict[str, np.ndarray]:
    assert answer.status_code == 200, answer.text
    return {
        one["name"]: np.array(one["data"], DATATYPES[one["datatype"]]).reshape(one["shape"])
        for one in answer.json()["outputs"]
    }


def ran(client: TestClient) -> list[float]:
    """Numbers of runs, and of requests that ran."""
    lines = client.get("/metrics").text.splitlines()
    return [
        float(line.split()[1])
        for part in ("count", "sum")
        for line in lines
        if line.startswith(f'graftcam_batch_size_{part}{{model="patches"}}')
    ]


def together(
    client: TestClient, bodies: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, np.ndarray]]:
    ask = partial(client.post, "/v2/models/patches/infer")
    first = partial(explain, client, method="fem")
    asks = [partial(ask, json=one) for one in bodies]
    return [arrays_of(one) for one in ask_together(client, "patches", first, asks, monkeypatch)]


def same(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> None:
    assert found.keys() == truth.keys()
    for name, value in truth.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)


def test_requests_of_one_kind_share_a_run(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is full by its images, of which the third request has two."""
    asked = [image(1), image(1) | classes([2]), image(2) | classes([0], [3]), image(1)]
    found = together(client, [body(one) for one in asked], monkeypatch)
    assert ran(client) == [3, 5]  # the first one, three in one run, the last one
    for one, own in zip(asked, found, strict=True):
        same(own, arrays_of(client.post("/v2/models/patches/infer", json=body(one))))


APART = {
    "another size": image(1, 24),
    "more classes": image(1) | classes([0, 1]),
    "other outputs": (image(1), "scores"),
    "no room in the batch": image(4),
}


@pytest.mark.parametrize("other", APART.values(), ids=APART)
def test_requests_of_another_kind_run_apart(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, other: Any
) -> None:
    second = body(*other) if isinstance(other, tuple) else body(other)
    bodies = [body(image(1)), second]
    found = together(client, bodies, monkeypatch)
    assert ran(client) == [3, 3]
    for one, own in zip(bodies, found, strict=True):
        same(own, arrays_of(client.post("/v2/models/patches/infer", json=one)))


def count_calls(patch: pytest.MonkeyPatch, kind: type, calls: list[Any]) -> None:
    run = kind.run

    def counted(session: Any, feeds: Any, names: Any = None) -> Any:
        calls.append(names)
        return run(session, feeds, names)

    patch.setattr(kind, "run", counted)


def test_random_requests_get_what_they_get_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four artifacts; one row of classes, weights or boxes may be for all images."""
    draw = np.random.default_rng(7)
    for path in (
        write_artifact(tmp_path / "m.onnx"), LINEAR, exported_digits(),
        export_detector(tmp_path / "b.onnx"),
    ):  # fmt: skip
        explainer = Explainer(path, "cpu")
        session, main = explainer._steps.session, explainer._steps.reader.main
        runs = []
        for _ in range(7):
            rows = int(draw.integers(1, 4))
            shape = [extent or 16 for extent in session.inputs[main].shape[1:]]
            arrays: dict[str, Any] = {main: draw.random((rows, *shape), np.float32)}
            own, count = (int(draw.choice([1, rows])) for _ in range(2))
            if session.spec.score_weights:
                arrays["score_weights"] = draw.standard_normal((own, 2, 3), np.float32)
            else:
                arrays["class_index"] = draw.integers(-2, 2, (own, 2))
            if session.spec.detector is not None:
                arrays["box_index"] = draw.integers(0, 80, (count, 2))
            feeds = raw_feeds(session, arrays, Selection())
            runs.append(tensor_run(session, main, feeds, list(session.outputs)))
        assert runs[0].kind is not None
        assert len({run.kind for run in runs}) == 1, path
        calls: list[Any] = []
        with monkeypatch.context() as patch:
            count_calls(patch, type(session), calls)
            together = run_together(session, main, runs)
        assert len(calls) == 1
        for run, found in zip(runs, together, strict=True):
            assert isinstance(found, dict)
            same(found, session.run(run.feeds, run.names))


def kind_of(path: Path, rows: int = 1) -> Any:
    explainer = Explainer(path, "cpu")
    session, main = explainer._steps.session, explainer._steps.reader.main
    feeds = raw_feeds(session, DRAW.random((rows, 3, 32, 32), np.float32), Selection())
    return tensor_run(session, main, feeds, list(session.outputs)).kind


def test_a_fixed_batch_and_outputs_that_may_have_no_rows_run_alone(tmp_path: Path) -> None:
    assert kind_of(write_artifact(tmp_path / "open.onnx")) is not None
    assert kind_of(write_artifact(tmp_path / "open.onnx"), rows=0) is None
    assert kind_of(write_artifact(tmp_path / "fixed.onnx", batch=1)) is None
    # The open extents of its output are none of the input's.
    assert kind_of(write_segmenter(tmp_path / "segments.onnx", size=("H", "W"))) is None
    by_class = "table = Transpose(logits)"
    by_value = """totals = ReduceSum <keepdims = 0> (logits, i0)
        known = Cast <to = 9> (totals)
        table = Compress <axis = 1> (logits, known)"""
    for shape, nodes in (("[4, N]", by_class), ("[N, D]", by_value)):
        more = (f", float{shape} table", nodes)
        assert kind_of(write_artifact(tmp_path / "more.onnx", more=more)) is None


def test_an_input_that_all_images_share_must_be_the_same(tmp_path: Path) -> None:
    ports = {"image": "float[N, 3, 32, 32]", "shift": "float[2]"}
    path = write_nd(
        tmp_path / "m.onnx", ports, rank=2, patch=8, weights=[[4.0, 0, 0], [0, 3.0, 0]],
        logits="logits = Add(plain, shift)",
    )  # fmt: skip
    steps = Explainer(path, "cpu")._steps
    runs = []
    for shift in ([0.0, 1.0], [0.0, 1.0], [5.0, 0.0]):
        arrays = {"image": DRAW.random((1, 3, 32, 32), np.float32),
                  "shift": np.array(shift, np.float32)}  # fmt: skip
        feeds = raw_feeds(steps.session, arrays, Selection())
        runs.append(tensor_run(steps.session, "image", feeds, ["scores"]))
    assert runs[0].kind == runs[1].kind != runs[2].kind
    found = run_together(steps.session, "image", runs[:2])
    for run, own in zip(runs, found, strict=False):
        assert isinstance(own, dict)
        same(own, steps.session.run(run.feeds, ["scores"]))


def test_one_that_fails_takes_no_other_along(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, main = Explainer(artifact, "cpu")._steps.session, "image"
    values = [image(1), image(1), image(1)]
    values[1]["image"][:] = np.nan
    feeds = [raw_feeds(session, one, Selection()) for one in values]
    runs = [tensor_run(session, main, one, ["scores"]) for one in feeds]
    run = type(session).run

    def picky(session: Any, feeds: Any, names: Any = None) -> Any:
        if np.isnan(feeds["image"]).any():
            raise RunError("the run failed")
        return run(session, feeds, names)

    monkeypatch.setattr(type(session), "run", picky)
    found = run_together(session, main, runs)
    assert [isinstance(one, dict) for one in found] == [True, False, True]
