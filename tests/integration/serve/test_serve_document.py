"""docs/serve.md is true: its commands run, its tables are those of the code."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from graftcam.cli import main
from graftcam.runtime.tools.serve.metrics import PrometheusMetrics
from graftcam.runtime.tools.serve.openapi import document
from graftcam.runtime.tools.serve.options import OPTIONS
from graftcam.runtime.tools.serve.settings import Limits, ServeSettings
from support.artifacts import write_artifact
from support.paths import ROOT
from support.served import picture, process

TEXT = (ROOT / "docs" / "serve.md").read_text()
CURL = re.findall(r"^(curl .*)$", TEXT, re.MULTILINE)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_of_curl_run(tmp_path: Path) -> None:
    assert len(CURL) >= 6
    (tmp_path / "photo.jpg").write_bytes(picture(suffix=".jpg"))
    image = {"name": "image", "shape": [1, 3, 8, 8], "datatype": "FP32",
             "data": np.zeros(192).tolist()}  # fmt: skip
    (tmp_path / "tensors.json").write_text(json.dumps({"inputs": [image]}))
    with process(write_artifact(tmp_path / "resnet50.onnx")) as (_, port):
        for line in CURL:
            words = shlex.split(line.replace(":8000", f":{port}"))
            # The classes of the small model.
            words = [word.replace("tabby", "red").replace("282", "2") for word in words]
            done = subprocess.run([*words, "--silent", "--fail-with-body"], cwd=tmp_path,
                                  capture_output=True, check=False)  # fmt: skip
            assert done.returncode == 0, (line, done.stdout)
            if "-o" not in words:
                found = json.loads(done.stdout)
                assert "error" not in found
                assert found.keys() & {"explanations", "outputs"}
    assert (tmp_path / "overlay.png").read_bytes().startswith(b"\x89PNG")


def test_every_option_of_a_request_is_in_the_table() -> None:
    table = TEXT.partition("| option | meaning |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == [
        "class", "top", "output", "layer", "method", "option", "score_weights", "images", "style",
        "alpha", "colormap", "scale", "height", "conf", "iou", "limit", "box", "why", "near_miss",
    ]  # fmt: skip
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(OPTIONS)


def test_every_status_is_in_the_table() -> None:
    explain = document()["paths"]["/api/models/{name}/explain"]["post"]["responses"]
    rows = re.findall(r"^\| (\d{3}(?:, \d{3})?) \|", TEXT, re.MULTILINE)
    listed = {status for row in rows for status in row.split(", ")}
    assert explain.keys() - {"200"} == listed - {"405"}


def test_the_limits_are_those_of_the_code() -> None:
    limits = Limits()
    for words in (
        f"`--max-bytes` | {limits.bytes >> 20} MiB", f"`--max-pixels` | {limits.pixels:,}",
        f"`--top` | {limits.top} |", f"`--queue` | {limits.queue} |",
        f"`--timeout` | {limits.timeout:g} s", f"at most {limits.memory >> 20} MiB (429)",
        f"at most {limits.all_pixels:,} pixels",
    ):  # fmt: skip
        assert words in TEXT, words
    defaults = {one.name: one.default for one in main.commands["serve"].params}
    settings = ServeSettings(())
    assert defaults["max_bytes"] == limits.bytes
    assert defaults["max_pixels"] == limits.pixels
    assert (defaults["top"], defaults["queue"]) == (limits.top, limits.queue)
    assert defaults["timeout"] == limits.timeout
    assert (defaults["batch"], defaults["wait"]) == (settings.batch, settings.wait)
    assert defaults["workers"] == settings.workers


def test_the_metrics_are_those_of_the_code() -> None:
    metrics = PrometheusMetrics()
    metrics.watch("m", lambda: 0)
    metrics.ran("m", 1, 0.1)
    metrics.answered("m", "explain", 200, 0.1)
    text = metrics.text().decode()
    listed = dict(re.findall(r"^\| `(graftcam_\w+)\{(.*?)\}` \|", TEXT, re.MULTILINE))
    families = set(re.findall(r"^# TYPE (graftcam_\w+) ", text, re.MULTILINE))
    assert families == listed.keys()
    for name, labels in listed.items():
        found = re.search(rf"^{name}(?:_count)?{{(.*?)}}", text, re.MULTILINE)
        assert found
        assert set(re.findall(r"(\w+)=", found[1])) - {"le"} == set(labels.split(", "))
    assert "process_resident_memory_bytes" in text
