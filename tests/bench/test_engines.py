"""The bench of other engines: jobs, what becomes of them, verdicts, and the page."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.book import Book, read
from benchmarks.engines.__main__ import done, figures
from benchmarks.engines.child import do, rounds_for
from benchmarks.engines.engines import ENGINES, WEB, Engine, software_gpu
from benchmarks.engines.job import Call, Job, Outcome, run, write
from benchmarks.engines.page import write_page
from benchmarks.engines.subjects import CASES
from benchmarks.engines.verdict import error, judge
from support.browser import need
from support.onnx_bytes import onnx_model
from support.paths import ROOT

DOUBLE = """<ir_version: 8, opset_import: ["" : 18]>
    double (float[N, 2] x, int64[K] class_index) => (float[N, 2] y, int64[K] classes)
    {
        y = Add(x, x)
        classes = Identity(class_index)
    }"""
FEEDS = {"x": np.array([[1, -2]], np.float32), "class_index": np.array([3], np.int64)}
MACHINE = {"cpu": "A", "cores": 2, "threads": 1, "system": "Linux", "versions": {"numpy": "2"}}
ROLES = {"forward": ["logits"], "explanation": ["heatmap"]}


def engine(name: str) -> Engine:
    return next(one for one in ENGINES if one.name == name)


def job(folder: Path, **differing: Any) -> Job:
    path = folder / "double.onnx"
    path.write_bytes(onnx_model(DOUBLE, {}))
    call = Call(path, FEEDS, ["y", "classes"])
    return replace(Job({"plain": call, "explained": call}, call, rounds=4), **differing)


def started(folder: Path, job: Job) -> Path:
    """Write the job into a folder of its own."""
    place = folder / "job"
    place.mkdir()
    write(job, place)
    return place


def assert_done(found: Outcome, rounds: int) -> None:
    assert found.state == "ran", found.reason
    assert {name: len(times) for name, times in found.times.items()} == {
        "plain": rounds, "explained": rounds,
    }  # fmt: skip
    assert found.memory.keys() == {"plain", "explained"}
    np.testing.assert_array_equal(found.values["y"], [[2, -4]])
    assert found.values["classes"].dtype == np.int64
    np.testing.assert_array_equal(found.values["classes"], [3])


def test_a_process_gives_times_and_values_back(tmp_path: Path) -> None:
    folder = started(tmp_path, job(tmp_path))
    assert_done(run(engine("cpu").command(folder), folder, limit=60), rounds=4)


def test_without_rounds_only_values_are_computed(tmp_path: Path) -> None:
    found = do("cpu", started(tmp_path, job(tmp_path, rounds=0)))
    assert not found.times
    np.testing.assert_array_equal(found.values["y"], [[2, -4]])


@pytest.mark.parametrize("name", ["web", "openvino", "onnx"])
def test_other_engines_do_the_same_job(tmp_path: Path, name: str) -> None:
    if name == "web":
        need(shutil.which("node"), "node")
        need((WEB / "onnxruntime-web").is_dir(), "onnxruntime-web (make browser)")
    elif name == "openvino":
        pytest.importorskip("openvino")
    one = engine(name)
    folder = started(tmp_path, job(tmp_path))
    assert_done(run(one.command(folder), folder, 60, one.environment()), rounds=4)


def test_a_file_that_an_engine_does_not_open_and_one_it_cannot_run(tmp_path: Path) -> None:
    good = job(tmp_path)
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((tmp_path / "double.onnx").read_bytes()[:-30])
    unread = started(tmp_path, replace(good, compared=replace(good.compared, path=cut)))
    assert (do("cpu", unread).state, do("cpu", unread).model) == ("unread", "compared")
    shutil.rmtree(unread)
    wrong = replace(good.compared, feeds={"x": FEEDS["x"]})
    found = do("cpu", started(tmp_path, replace(good, timed={"plain": wrong})))
    assert (found.state, found.model) == ("failed", "plain")
    assert "class_index" in found.reason


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "crashed", "SIGKILL"),
        ("import sys; sys.exit('no such library')", "crashed", "exit status 1: no such library"),
        ("import time; time.sleep(60)", "timeout", "no answer in 1 s"),
    ],
)
def test_the_end_of_a_process_is_a_result(
    tmp_path: Path, code: str, state: str, words: str
) -> None:
    found = run([sys.executable, "-c", code], tmp_path, limit=1 if state == "timeout" else 60)
    assert found.state == state
    assert words in found.reason


def test_rounds_fit_into_the_time() -> None:
    assert [rounds_for(15, 60, turn) for turn in (0.1, 6, 50)] == [15, 10, 3]


def verdict(**values: Any) -> str:
    one = np.ones((3, 4))
    expected = {"logits": one, "heatmap": one}
    again = {"logits": one, "heatmap": values.pop("again", one)}
    return judge({**expected, **values}, expected, again, ROLES)[0]


def test_a_verdict_tells_a_wrong_explanation_from_another_prediction() -> None:
    one = np.ones((3, 4))
    assert verdict() == "right"
    assert verdict(heatmap=1.005 * one) == "right"
    assert verdict(heatmap=1.02 * one) == "wrong"
    assert verdict(logits=1.005 * one, heatmap=2 * one) == "other forward"
    assert verdict(heatmap=np.nan * one) == "wrong"
    assert verdict(heatmap=one[:, :2]) == "wrong"


def test_the_bound_follows_what_rounding_does_to_the_reference() -> None:
    one = np.ones((3, 4))
    assert verdict(heatmap=1.05 * one, again=1.02 * one) == "right"
    assert verdict(heatmap=1.09 * one, again=1.02 * one) == "wrong"


def test_errors_are_of_the_median_image_and_empty_maps_have_none() -> None:
    expected = np.array([[1.0, 0], [2, 0], [0, 0]])
    assert error(expected, expected) == 0
    assert error(expected + np.array([[9, 0], [0.5, 0], [0, 0]]), expected) == pytest.approx(0.25)


def test_what_is_missing_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    found = do("tensorrt-rtx", started(tmp_path, job(tmp_path)))
    assert (found.state, found.model) == ("not installed", "")
    assert "pip install onnxruntime-ep-nv-tensorrt-rtx" in found.reason
    assert Engine("tensorrt-rtx", "RTX", "cuda").version() is None
    assert engine("cpu").version()


def test_webgpu_uses_a_browsers_vulkan_only_without_a_gpu(tmp_path: Path) -> None:
    gpus, browser = tmp_path / "drm", tmp_path / "browser"
    for folder in (gpus, browser):
        folder.mkdir()
    assert software_gpu([browser], gpus) == {}
    (browser / "vk_swiftshader_icd.json").touch()
    found = software_gpu([browser], gpus)
    assert found["VK_DRIVER_FILES"] == str(browser / "vk_swiftshader_icd.json")
    assert found["ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER"] == "1"
    (gpus / "card0").touch()
    assert software_gpu([browser], gpus) == {}


def book(folder: Path) -> Book:
    return Book(folder / "engines.json", MACHINE, "one", 0, quick=False)


def add(book: Book, name: str, state: str, **row: Any) -> None:
    about = {"engine": name, "family": "ResNet", "model": "resnet18", "version": "1.0"}
    found = {**about, "layer": "layer2", "layers": ["layer2"], "state": state, **row}
    book.add(f"{name}/resnet18/layer2", found, others=0.0)


def test_a_row_is_measured_again_when_the_engine_is_another(tmp_path: Path) -> None:
    results, cpu = book(tmp_path), engine("cpu")
    case = next(one for one in CASES if one.key == "resnet18/layer2")
    assert not done(results, cpu, case)
    add(results, "cpu", "right")
    assert not done(results, cpu, case)
    results.rows["cpu/resnet18/layer2"]["version"] = cpu.version()
    assert done(results, cpu, case)
    results.rows["cpu/resnet18/layer2"]["code"] = "earlier"
    assert not done(results, cpu, case)
    assert done(results, cpu, case, keep=True)


def test_figures_are_in_units_of_the_plain_file() -> None:
    times = {"plain": [10.0] * 3, "explained": [16.0] * 3}
    errors = {"logits": 1.23e-6, "gradients": float("nan"), "heatmap": 2e-6}
    found = figures(Outcome("ran", times=times), "wrong", errors, ["gradients", "heatmap"])
    assert found["ratios"] == {"explained": [1.6] * 3}
    assert json.loads(json.dumps(found, allow_nan=False))["errors"]["gradients"] is None
    assert found["explanation"] is None
    found = figures(Outcome("ran"), "right", errors | {"gradients": 3e-6}, ["gradients", "heatmap"])
    assert found["explanation"] == 3e-6


def test_the_page_tells_of_every_engine(tmp_path: Path) -> None:
    results = book(tmp_path)
    measured = {
        "errors": {"logits": 0.0, "gradients": 2e-6, "heatmap": 1e-6}, "explanation": 2e-6,
        "values": {"plain": [9, 10, 11], "explained": [15, 16, 17]},
        "bytes": [46_800_000, 47_000_000],
        "ratios": {"explained": [1.5, 1.6, 1.7]}, "memory": {"plain": 90.0, "explained": 120.4},
    }  # fmt: skip
    add(results, "cpu", "right", **measured)
    wrong = measured["errors"] | {"heatmap": 0.5, "gradients": None}
    add(results, "openvino", "wrong", **measured | {"errors": wrong, "explanation": None})
    add(results, "web", "unread", file="explained", reason="no kernel for Foo")
    add(results, "webgpu", "no device", reason="no adapter")
    page = tmp_path / "engines.md"
    page.write_text("before\n<!-- tables -->\nold\n<!-- end of tables -->\nafter\n")
    write_page(results, page)
    text = page.read_text()
    lines = text.splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "old" not in lines
    assert "| ONNX Runtime, CPU | `cpu` | `onnxruntime` 1.0 | `default` | 1 right |" in lines
    assert (
        "| ResNet | `resnet18` | `layer2` | right 2e-06 | **wrong** no number | **unread** |"
        in lines
    )
    assert "| ResNet | `resnet18` | `layer2` | 1.60 (10) | 1.60 (10) |" in lines
    assert "| ResNet | `layer2` | 46.8 + 0.20 | 90 + 30 | 90 + 30 |  |" in lines
    assert "- OpenVINO, resnet18, `layer2`: wrong, `gradients` is no number." in lines
    assert (
        "- ONNX Runtime, WebAssembly, resnet18, `layer2`: unread (explained file): no kernel for "
        "Foo" in lines
    )
    assert any(line.endswith("| `webgpu` | no device no adapter |") for line in lines)
    assert any(line.endswith("| not tried |") for line in lines)
    assert "Preliminary" not in text


STORED = ROOT / "docs" / "engines.json"


@pytest.mark.skipif(not STORED.exists(), reason="nothing was measured yet")
def test_the_page_shows_the_stored_rows(tmp_path: Path) -> None:
    stored = read(STORED)
    assert stored is not None
    rows = {row["key"]: row for row in stored["rows"]}
    kept = (ROOT / "docs" / "engines.md").read_text("utf-8")
    pages = set[str]()
    for code in {row["code"] for row in rows.values()}:
        page = tmp_path / "engines.md"
        page.write_text(kept, "utf-8")
        write_page(Book(STORED, stored["machine"], code, 0, False, rows), page)
        pages.add(page.read_text("utf-8"))
    assert kept in pages
