"""The same application on Ray Serve."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.request import urlopen

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


def lines_of(name: str, text: str) -> list[str]:
    """The lines of one of our metrics, of a model."""
    start = f"ray_graftcam_{name}{{"
    return [
        line for line in text.splitlines() if line.startswith(start) and 'model="patches"' in line
    ]


def shown_by_ray(counts: dict[str, float]) -> str:
    """What Ray shows to Prometheus as soon as it has counted so many answers of each status."""
    (node,) = ray.nodes()
    address = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    end = time.monotonic() + 60
    while True:
        with urlopen(address, timeout=20) as answer:
            text = answer.read().decode()
        found = dict.fromkeys(counts, 0.0)
        for line in lines_of("requests_total", text):
            status = re.findall('status="(.+?)"', line)[0]
            found[status] = found.get(status, 0) + float(line.split()[-1])
        if found == counts:
            return text
        assert time.monotonic() < end, found
        time.sleep(0.5)


def test_replicas_answer_as_one_process_does_and_end_on_request(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "patches.onnx")
    with served(patches=path) as client:
        truth = explain(client, **{"class": "red"}).json()
    port, answers = free_port(), list[tuple[int, Any]]()
    shown, refused = list[str](), list[tuple[int, str]]()

    def ask(query: str) -> tuple[int, Any]:
        headers = {"Content-Type": "image/png"}
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("POST", f"/api/models/patches/explain?{query}", picture(), headers)
            answer = connection.getresponse()
            return answer.status, json.load(answer)

    def use() -> None:
        with ThreadPoolExecutor(8) as pool:
            answers.extend(pool.map(ask, ["class=red"] * 16 + ["class=dog", "top=99"]))
        answers.append(ask("class=red"))
        shown.append(shown_by_ray({"200": 17, "400": 2}))
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            refused.append((answer.status, json.load(answer)["error"]))

    serve_on_ray(settings(patches=path), "127.0.0.1", port, None, Replicas(2, 2), use)
    assert [status for status, _ in answers] == [200] * 16 + [400, 400, 200]
    assert all(one["explanations"] == truth["explanations"] for _, one in answers[:16])
    assert "unknown label 'dog'" in answers[16][1]["error"]
    replicas = re.findall('replica="(.+?)"', "".join(lines_of("requests_total", shown[0])))
    assert len(set(replicas)) == 2
    for name in ("request_seconds_count", "queue", "batch_size_bucket", "model_seconds_sum"):
        assert lines_of(name, shown[0])
    ((status, words),) = refused
    assert (status, "metrics port of its nodes" in words) == (404, True)
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
