"""Runs on fixed buffers, as CUDA graphs need them, equal plain runs; all on the CPU."""

from __future__ import annotations

import logging
import sys
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import SessionError
from graftcam.runtime.session import cuda_graph
from graftcam.runtime.session.cuda_graph import Bound
from graftcam.runtime.session.providers import CPU, CUDA, cuda_options
from support.images import noise
from support.onnx_bytes import onnx_model

NAMES = ["classes", "scores", "heatmap", "gradients"]


def _session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=[CPU])


def _feeds(seed: int, count: int, classes: int) -> dict[str, Any]:
    return {"image": noise(count, 32, 32, seed), "class_index": np.arange(classes)[None]}


def _same(found: list[Any], right: list[Any]) -> None:
    assert len(found) == len(right)
    for one, other in zip(found, right, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def both(artifact: Path) -> tuple[Bound, Any]:
    """Runs on fixed buffers, and the session that they are compared with."""
    session = _session(artifact)
    return Bound(onnxruntime, session, "cpu"), session


def test_other_shapes_and_repeated_runs(both: tuple[Bound, Any]) -> None:
    (runs, session), pairs = both, []
    for seed, (count, classes) in enumerate([(1, 1), (2, 1), (1, 1), (1, 0), (2, 3), (1, 0)] * 3):
        feeds = _feeds(seed, count, classes)
        pairs.append((runs.run(NAMES, feeds), session.run(NAMES, feeds)))
        names = NAMES[: 1 + seed % 3]
        pairs.append((runs.run(names, feeds), session.run(names, feeds)))
    # Looked at last: no run may change what an earlier one gave.
    for found, right in pairs:
        _same(found, right)


def test_inputs_with_a_default_may_be_left_out(both: tuple[Bound, Any]) -> None:
    runs, session = both
    for seed in range(4):
        feeds = _feeds(seed, 2, 2)
        if seed % 2:
            del feeds["class_index"]
        _same(runs.run(NAMES, feeds), session.run(NAMES, feeds))


def test_a_half_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(
        onnx_model("""<ir_version: 8, opset_import: ["" : 18]>
    half (float16[N, 3, H, W] x) => (float16[N, 3, H, W] y, int64[N, 1, H, W] strongest)
    {
        y = Relu(x)
        strongest = ArgMax <axis = 1> (x)
    }""")
    )
    session = _session(path)
    runs = Bound(onnxruntime, session, "cpu")
    for seed in range(3):
        x = noise(2, seed=seed).astype(np.float16)
        names = ["strongest", "y"]
        _same(runs.run(names, {"x": x}), session.run(names, {"x": x}))


def test_threads_share_the_buffers_in_turn(both: tuple[Bound, Any]) -> None:
    runs, session = both

    def check(seed: int) -> None:
        feeds = _feeds(seed, 1 + seed % 2, seed % 3)
        _same(runs.run(NAMES, feeds), session.run(NAMES, feeds))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(40)))


def test_the_number_of_stored_shapes_is_bounded(both: tuple[Bound, Any]) -> None:
    runs, session = both
    for seed in range(2 * (cuda_graph.MOST_SHAPES + 2)):
        feeds = _feeds(seed, 1 + seed % (cuda_graph.MOST_SHAPES + 2), 1)
        _same(runs.run(NAMES, feeds), session.run(NAMES, feeds))
    assert len(runs._by_shapes) == cuda_graph.MOST_SHAPES


class Binding:
    """An IO binding that takes the CPU for the first CUDA device."""

    def __init__(self, binding: Any) -> None:
        self.binding = binding

    def bind_output(self, name: str, device: str, number: int) -> None:
        assert (device, number) == ("cuda", 1)
        self.binding.bind_output(name, "cpu")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.binding, name)


class Device:
    """A session on the CPU that says that it runs on CUDA, and counts bound runs by their graph."""

    def __init__(self, path: str, options: Any) -> None:
        self.session = onnxruntime.InferenceSession(path, options, providers=[CPU])
        self.graphs: list[str] = []

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def io_binding(self) -> Binding:
        return Binding(self.session.io_binding())

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        self.graphs.append(options.get_run_config_entry("gpu_graph_id"))
        self.session.run_with_iobinding(binding.binding, options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)


class Tensor:
    """OrtValues on the CPU, whatever the device."""

    @staticmethod
    def ortvalue_from_numpy(array: Any, device: str, number: int) -> Any:
        assert (device, number) == ("cuda", 1)
        return onnxruntime.OrtValue.ortvalue_from_numpy(array, "cpu")


class Cuda(types.ModuleType):
    """ONNX Runtime with a GPU that captures graphs, or refuses to."""

    SessionOptions, RunOptions = onnxruntime.SessionOptions, onnxruntime.RunOptions
    OrtValue = Tensor
    refuses = False

    def __init__(self) -> None:
        super().__init__("onnxruntime")
        self.opened: list[dict[str, Any]] = []

    def get_available_providers(self) -> list[str]:
        return [CUDA, CPU]

    def InferenceSession(self, path: str, options: Any, providers: Any) -> Device:  # noqa: N802
        self.opened.append(dict(providers)[CUDA])
        if self.refuses and "enable_cuda_graph" in self.opened[-1]:
            raise RuntimeError("This session cannot use the graph capture feature as requested")
        return Device(path, options)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    made = Cuda()
    monkeypatch.setitem(sys.modules, "onnxruntime", made)
    return made


CAPTURED = ("cuda", {"device_id": 1, "enable_cuda_graph": True})


def test_a_captured_graph_is_replayed_by_shape(artifact: Path, cuda: Cuda) -> None:
    explainer, plain = Explainer(artifact, [CAPTURED]), _session(artifact)
    for seed, count in enumerate((1, 2, 1, 2, 2)):
        feeds = _feeds(seed, count, 2)
        found = explainer.run(feeds["image"], feeds["class_index"])
        _same(list(found.values()), plain.run(list(found), feeds))
    assert explainer._session._session.graphs == ["-1", "-1", "0", "1", "1"]
    assert cuda.opened == [{"cudnn_conv_algo_search": "HEURISTIC", **CAPTURED[1]}]


def test_a_graph_that_cannot_be_captured_runs_without_and_says_so_once(
    artifact: Path, cuda: Cuda, caplog: pytest.LogCaptureFixture
) -> None:
    cuda.refuses = True
    with caplog.at_level(logging.WARNING, "graftcam"):
        explainer = Explainer(artifact, [CAPTURED])
    (line,) = caplog.messages
    assert "cannot use the graph capture feature as requested; running without: export" in line
    assert "enable_cuda_graph" not in cuda.opened[-1]
    explainer.run(_feeds(0, 1, 1)["image"])
    assert explainer._session._session.graphs == []


def test_other_errors_are_not_taken_for_it(tmp_path: Path, cuda: Cuda) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")  # a version, and no graph
    with pytest.raises(SessionError, match="ONNX Runtime cannot load it"):
        Explainer(tmp_path / "m.onnx", [CAPTURED])
    assert len(cuda.opened) == 1


def test_the_caller_decides_about_cudas_options() -> None:
    assert cuda_options({"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": False}) == {
        "cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": False,
    }  # fmt: skip
