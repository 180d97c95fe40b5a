"""Models of all kinds are served: several inputs, arrays, several of them; and other origins."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from graftcam.runtime.tools.serve.application import application
from graftcam.runtime.tools.serve.service import Service
from support.artifacts import SCENE, preprocess, write_artifact
from support.artifacts_nd import write_signal, write_two_images, write_with_table
from support.served import explain, picture, served, settings

PHOTO = np.full((40, 60, 3), (255, 51, 0), np.uint8)
"""Red 1, green 0.2: the table's model gives 4 + a and 0.6 + b."""


def array(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def test_further_inputs_are_fields_of_numbers_or_files(tmp_path: Path) -> None:
    path = write_with_table(tmp_path / "table.onnx", preprocess())
    with served(table=path) as client:
        (further,) = client.get("/api/models/table").json()["input"]["further"]
        assert further == {"name": "table", "datatype": "float32", "shape": [-1, 2]}
        image = ("image", ("x.png", picture(PHOTO)))
        for fields, files in (
            ({"table": "1,2"}, [image]),
            ({}, [image, ("table", ("t.npy", array(np.array([1.0, 2.0]))))]),
        ):
            found = client.post(
                "/api/models/table/explain?class=0&class=1", data=fields, files=files
            ).json()
            scores = [one["score"] for one in found["explanations"]]
            np.testing.assert_allclose(scores, [5, 2.6], rtol=1e-6)
        address = "/api/models/table/explain"
        for data, words in (
            ({}, "pass 'table' by name"), ({"table": "1,2,3"}, "'table'"),
            ({"table": "1,x"}, "is no list of numbers"),
            ({"table": "/etc/passwd"}, "is no list of numbers"),
        ):  # fmt: skip
            answer = client.post(address, data=data, files=[image])
            assert answer.status_code == 400, answer.text
            assert words in answer.json()["error"]


def test_a_second_image_is_a_file_of_its_name(tmp_path: Path) -> None:
    path = write_two_images(tmp_path / "two.onnx", preprocess(input="left"))
    with served(two=path) as client:
        name = client.get("/api/models/two").json()["input"]["further"][0]["name"]
        files = {"image": ("a.png", picture()), name: ("b.png", picture(PHOTO))}
        answer = client.post("/api/models/two/explain", files=files)
        assert answer.status_code == 200, answer.text


def test_a_model_of_arrays_takes_arrays(tmp_path: Path) -> None:
    values = np.sin(np.linspace(0, 9, 64, dtype=np.float32))[None]
    with served(signal=write_signal(tmp_path / "signal.onnx")) as client:
        described = client.get("/api/models/signal").json()
        assert not described["input"]["image"]
        found = explain(client, "signal", array(values), images=["overlay", "heatmap"]).json()
        (entry,) = found["explanations"]
        assert len(entry["map"]["shape"]) == 1
        assert entry["place"] is None
        assert entry["overlay"]
        assert "heatmap" not in entry
        refused = explain(client, "signal", picture())
        assert refused.status_code == 415
        assert "stores no preprocessing" in refused.json()["error"]


def test_each_model_has_a_queue_of_its_own(artifact: Path, tmp_path: Path) -> None:
    other = write_artifact(tmp_path / "other.onnx", weights=[[1.0, 0, 0]] * 4)
    with served(one=artifact, two=other) as client:
        first, second = (explain(client, name, top=1).json() for name in ("one", "two"))
        assert first["explanations"][0]["score"] != second["explanations"][0]["score"]
        text = client.get("/metrics").text
        for name in ("one", "two"):
            assert f'graftcam_batch_size_count{{model="{name}"}} 1.0' in text


def test_names_that_are_no_models_make_no_metrics(artifact: Path) -> None:
    with served(patches=artifact) as client:
        for number in range(3):
            client.get(f"/api/models/unknown{number}")
            client.get(f"/nothing/{number}")
        text = client.get("/metrics").text
    assert "unknown" not in text
    assert "nothing" not in text
    assert 'graftcam_requests_total{endpoint="show_model",model="",status="404"} 3.0' in text


def test_until_the_models_are_open_the_service_is_alive_but_not_ready(artifact: Path) -> None:
    service = Service(settings(patches=artifact))
    with TestClient(application(service)) as client:
        assert client.get("/healthz").status_code == 200
        for answer in (client.get("/readyz"), client.get("/api/models"), explain(client),
                       client.get("/v2/health/ready")):  # fmt: skip
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        service.open()
        assert client.get("/readyz").status_code == 200
        assert explain(client).status_code == 200
    service.close()


def test_another_origin_is_allowed_only_if_it_is_named(artifact: Path) -> None:
    service = Service(replace(settings(patches=artifact), cors="https://example.org"))
    service.open()
    with TestClient(application(service)) as client:
        for origin, allowed in (("https://example.org", "https://example.org"),
                                ("https://evil.example", None)):  # fmt: skip
            answer = client.get("/api/models", headers={"Origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = client.options("/api/models/patches/explain", headers=asked)
            assert answer.headers.get("access-control-allow-origin") == allowed
        wrong = client.post("/api/models/patches/explain",
                            headers={"Origin": "https://example.org"})  # fmt: skip
        assert wrong.status_code == 400
        assert wrong.headers["access-control-allow-origin"] == "https://example.org"
    service.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_runs_at_the_same_time_give_the_same(artifact: Path, workers: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    service = Service(replace(settings(patches=artifact), workers=workers, threads=None))
    service.open()
    shifted = [picture(np.roll(SCENE, 8 * number, axis=1)) for number in range(24)]
    with TestClient(application(service)) as client:
        alone = [explain(client, data=data).json()["explanations"] for data in shifted]
        with ThreadPoolExecutor(12) as pool:
            together = list(pool.map(lambda data: explain(client, data=data).json(), shifted))
    service.close()
    for one, truth in zip(together, alone, strict=True):
        assert one["explanations"][0]["class"] == truth[0]["class"]
        assert one["explanations"][0]["score"] == pytest.approx(truth[0]["score"], rel=1e-5)
