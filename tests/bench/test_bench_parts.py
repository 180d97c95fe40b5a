"""The parts of a measurement: taking turns, ratios, and ONNX Runtime's profiles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graftcam.runtime.tools.bench.profile import Call, NodeTime, Profile, Tensor
from graftcam.runtime.tools.bench.profile_file import read_profile
from graftcam.runtime.tools.bench.timing import WARM_UPS, interleave, quartiles, ratio, warm_up


def test_runs_take_turns_in_changing_orders() -> None:
    done: list[str] = []
    runs = {name: (lambda name=name: done.append(name)) for name in "abc"}
    times = interleave(runs, 20)
    rounds = ["".join(done[start : start + 3]) for start in range(0, 60, 3)]
    assert {"".join(sorted(turn)) for turn in rounds} == {"abc"}
    assert len(set(rounds)) == 6
    assert {name: len(values) for name, values in times.items()} == dict.fromkeys("abc", 20)
    done.clear()
    assert interleave(runs, 20).keys() == times.keys()
    assert ["".join(done[start : start + 3]) for start in range(0, 60, 3)] == rounds


def test_warm_ups_come_first() -> None:
    done: list[str] = []
    assert warm_up({"a": lambda: done.append("a"), "b": lambda: done.append("b")}) >= 0
    assert done == ["a", "b"] * WARM_UPS


def test_a_ratio_is_taken_within_a_round() -> None:
    assert quartiles([4, 1, 2, 3, 5]) == [2, 3, 4]
    # The third round was ten times as slow for both.
    assert ratio([2, 2, 30, 3, 2], [2, 2, 20, 2, 2]) == [1, 1, 1.5]


def event(name: str, start: int, length: int, operator: str | None = None) -> dict[str, Any]:
    about = {} if operator is None else {"op_name": operator, "provider": "CPUExecutionProvider"}
    return {
        "cat": "Session" if operator is None else "Node", "name": name,
        "ts": start, "dur": length, "args": about,
    }  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Four runs; the second and following take 10, 20 and 90 times what stands here."""
    events = [event("session_initialization", 0, 5)]
    for run, factor in enumerate([500, 10, 20, 90]):
        start = 100_000 * (run + 1)
        events += [
            event("model_run", start, 40 * factor),
            event("conv1_kernel_time", start + factor, 5 * factor, "Conv"),
            event("conv1_fence_before", start, 0, "Conv"),
            event("ReorderOutput_token_1_kernel_time", start + 6 * factor, factor, "ReorderOutput"),
            event("grad/a/b_kernel_time", start + 11 * factor, 3 * factor, "Mul"),
            event("grad/a/b_kernel_time", start + 14 * factor, 3 * factor, "Mul"),
            # ONNX Runtime writes an event when it ends.
            event("loop_kernel_time", start + 10 * factor, 20 * factor, "Loop"),
            event("grad/c/d_kernel_time", start + 31 * factor, factor, "Mul"),
            event("grad/e/f_kernel_time", start + 32 * factor, 4 * factor, "Add"),
        ]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(events))
    return path


def test_a_profile_gives_each_nodes_own_time_in_a_run(written: Path) -> None:
    found = read_profile(written)
    # The mean of three runs is 40 times: too few to leave any out.
    times = {node.name: node.ms for node in found.nodes}
    assert times == {
        "conv1": pytest.approx(0.2),
        "ReorderOutput_token_1": pytest.approx(0.04),
        "loop": pytest.approx(20 * 0.04 - 6 * 0.04),
        "grad/a/b": pytest.approx(6 * 0.04),
        "grad/c/d": pytest.approx(0.04),
        "grad/e/f": pytest.approx(4 * 0.04),
    }


def shaped(name: str, start: int, length: int, operator: str, extent: int) -> dict[str, Any]:
    found = event(f"{name}_kernel_time", start, length, operator)
    shapes = {f"{side}_type_shape": [{"float": [extent]}] for side in ("input", "output")}
    found["args"] |= shapes
    return found


def test_nodes_have_places_in_the_order_of_the_run_and_the_shapes_of_the_last(
    tmp_path: Path,
) -> None:
    events = [
        one
        for run in (0, 100)
        for one in (
            event("model_run", run, 50),
            # All begin in the same microsecond; ONNX Runtime writes an event when it ends.
            shaped("first", run, 0, "Add", run),
            shaped("inner", run, 2, "Add", run),
            shaped("loop", run, 5, "Loop", run),
            shaped("last", run + 5, 1, "Add", run),
        )
    ]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(events))
    found = {node.name: node for node in read_profile(path).nodes}
    places = {name: (node.place, node.held) for name, node in found.items()}
    assert places == {
        "first": (0, False), "loop": (1, False), "inner": (1, True), "last": (2, False),
    }  # fmt: skip
    one = Tensor("float", (100,))
    assert found["last"].calls == [Call([one], [one])]
    assert found["loop"].ms == pytest.approx(0.003)


def test_a_profile_without_shapes_says_so(written: Path) -> None:
    assert {node.calls is None for node in read_profile(written).nodes} == {True}


def test_one_disturbed_run_does_not_move_a_time(written: Path) -> None:
    times = {node.name: node.ms for node in read_profile(written, skipped=0).nodes}
    # Of four runs the slowest and the fastest are left out.
    assert times["grad/c/d"] == pytest.approx((0.02 + 0.09) / 2)


def test_a_node_is_the_models_added_or_a_copy(written: Path) -> None:
    found = read_profile(written)
    assert [node.name for node in found.of("model")] == ["loop", "conv1"]
    assert [node.name for node in found.of("moves")] == ["ReorderOutput_token_1"]
    assert [node.name for node in found.of("added")] == ["grad/a/b", "grad/e/f", "grad/c/d"]
    assert [row[:2] for row in found.operators("added")] == [("Mul", 2), ("Add", 1)]


def test_a_profile_of_a_model_alone_has_nothing_added() -> None:
    found = Profile([NodeTime("conv", "Conv", 1.0, "CPUExecutionProvider")])
    data = found.to_dict()
    assert data["model"] == {"nodes": 1, "ms": 1.0}
    assert data["added"] == {"nodes": 0, "ms": 0}
    assert data["added_nodes"] == data["added_operators"] == []
