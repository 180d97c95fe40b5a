"""The same application on Ray Serve."""

from __future__ import annotations

import json
import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.tools.serve.on_ray import Replicas, deployment, serve_on_ray
from graftcam.runtime.tools.serve.settings import Limits, ServedFile
from support.artifacts import write_artifact
from support.cli import refuse
from support.ray_cluster import local_cluster
from support.served import explain, picture, served, settings

ray: Any = pytest.importorskip("ray")
ray_serve: Any = pytest.importorskip("ray.serve")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Generator[None]:
    with local_cluster(ray, 4):
        yield


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_replicas_answer_as_one_process_does_and_end_on_request(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "patches.onnx")
    with served(patches=path) as client:
        truth = explain(client, **{"class": "red"}).json()
    port, answers = free_port(), list[tuple[int, Any]]()

    def ask(query: str) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "image/png"}
        connection.request("POST", f"/api/models/patches/explain?{query}", picture(), headers)
        answer = connection.getresponse()
        return answer.status, json.load(answer)

    def use() -> None:
        with ThreadPoolExecutor(8) as pool:
            answers.extend(pool.map(ask, ["class=red"] * 16 + ["class=dog", "top=99"]))
        answers.append(ask("class=red"))

    serve_on_ray(settings(patches=path), "127.0.0.1", port, None, Replicas(2, 2), use)
    assert [status for status, _ in answers] == [200] * 16 + [400, 400, 200]
    assert all(one["explanations"] == truth["explanations"] for _, one in answers[:16])
    assert "unknown label 'dog'" in answers[16][1]["error"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_what_ray_is_given_follows_the_settings(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "patches.onnx")
    given = replace(settings(Limits(queue=32, timeout=9), patches=path), threads=3, batch=5)
    made = deployment(ray_serve, given, Replicas(2, 6))
    found = made._bound_deployment
    assert found.max_ongoing_requests == 32
    assert found.ray_actor_options["num_cpus"] == 3
    scaling = found._deployment_config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (2, 6)
    assert scaling.target_ongoing_requests == 5
    assert deployment(ray_serve, given, Replicas(2, 2))._bound_deployment.num_replicas == 2


def test_a_file_that_is_no_artifact_of_today_is_refused_before_ray_starts(tmp_path: Path) -> None:
    wrong = write_artifact(tmp_path / "old.onnx", metadata='{"version": 99}')
    given = replace(settings(), models=(ServedFile("old", str(wrong)),))
    with pytest.raises(GraftcamError, match="supports up to"):
        serve_on_ray(given, "127.0.0.1", free_port(), None, Replicas(), lambda: None)


def test_a_cluster_that_is_not_there_is_one_line(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{nobody.getsockname()[1]}"
        line = refuse("serve", artifact, "--engine", "ray", "--ray-address", address, "--port", 0)
    assert f"no Ray cluster at {address}" in line
