"""Requests that wait together run together, and what one of them does harms no other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from graftcam.runtime import Explainer
from graftcam.runtime.errors import RunError
from graftcam.runtime.explain.pipeline import explain_examples
from graftcam.runtime.explain.plan import join, make_plan
from graftcam.runtime.explain.stream import explain_each
from graftcam.runtime.output.explanation import Explanation
from graftcam.runtime.tools.serve.batching import Batches, Job
from graftcam.runtime.tools.serve.model import DroppedError
from graftcam.runtime.tools.serve.service import Shares
from graftcam.runtime.tools.serve.settings import Limits
from support.artifacts import SCENE, write_artifact, write_two_layers
from support.exports import exported_digits
from support.queued import ask_together, gated, until
from support.served import explain, served


class Held:
    """A function for `Batches` that waits until it is let go, and remembers what ran together."""

    def __init__(self) -> None:
        self.ran: list[list[Any]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, jobs: Sequence[Job]) -> list[Any]:
        self.ran.append([job.work for job in jobs])
        self.begun.set()
        assert self.go.wait(20)
        return [f"{job.work}!" for job in jobs]


def hold(most: int = 4, wait: float = 0.0) -> tuple[Held, Batches]:
    """A queue whose first job, of its own kind, is running already."""
    held = Held()
    batches = Batches(held, most, wait, 1, "test")
    batches.add(Job(None, "first"))
    assert held.begun.wait(20)
    return held, batches


def test_jobs_of_one_kind_run_together_in_their_order() -> None:
    held, batches = hold()
    jobs = [batches.add(Job("ab"[n % 2], n)) for n in range(8)]
    alone = [batches.add(Job(None, name)) for name in "xy"]
    assert len(batches) == 10
    held.go.set()
    assert [job.result.result(20) for job in jobs] == [f"{n}!" for n in range(8)]
    assert [job.result.result(20) for job in alone] == ["x!", "y!"]
    batches.close()
    assert held.ran == [["first"], [0, 2, 4, 6], [1, 3, 5, 7], ["x"], ["y"]]


def test_a_batch_has_at_most_so_many_jobs() -> None:
    held, batches = hold(most=3)
    for n in range(7):
        batches.add(Job("a", n))
    held.go.set()
    batches.close()
    assert held.ran[1:] == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_job_that_is_dropped_does_not_begin() -> None:
    held, batches = hold()
    jobs = [batches.add(Job("a", n)) for n in range(3)]
    jobs[1].drop()
    assert len(batches) == 2
    held.go.set()
    batches.close()
    assert held.ran[1:] == [[0, 2]]
    with pytest.raises(CancelledError):
        jobs[1].result.result(0)


def test_a_job_waits_for_others_until_its_time_is_over() -> None:
    held = Held()
    held.go.set()
    batches = Batches(held, 2, 3600, 1, "test")
    first = batches.add(Job("a", 1))
    assert not held.begun.is_set()
    batches.add(Job("a", 2))
    assert first.result.result(20) == "1!"
    last = batches.add(Job("a", 3))
    batches.close()  # ends all waiting
    assert last.result.result(0) == "3!"
    assert held.ran == [[1, 2], [3]]


def test_an_error_reaches_every_job_of_the_batch_and_the_queue_goes_on() -> None:
    def fail(jobs: Sequence[Job]) -> list[Any]:
        if jobs[0].work == "bad":
            raise ValueError("no")
        return [job.work for job in jobs]

    batches = Batches(fail, 4, 0, 1, "test")
    bad = batches.add(Job("a", "bad"))
    with pytest.raises(ValueError, match="no"):
        bad.result.result(20)
    assert batches.add(Job("a", "good")).result.result(20) == "good"
    batches.close()


@pytest.mark.parametrize("method", ["gradcam", "rise", "layercam", "scorecam"])
@pytest.mark.parametrize("make", [write_artifact, lambda path: write_artifact(path, batch=3)])
def test_classes_of_one_run_may_differ(
    tmp_path: Path, method: str, make: Callable[[Path], Path]
) -> None:
    """Also where the batch is fixed and filled up with copies."""
    path = make(tmp_path / "model.onnx")
    options = {"masks": 6} if method == "rise" else {}
    explainer = Explainer(path, "cpu")
    steps = explainer._steps
    asked: list[Any] = [["red"], ["blue"], [-1], [1], ["red"]]
    shifted = [np.roll(SCENE, 9 * n, axis=1) for n in range(5)]
    plans = [
        make_plan(steps.session, steps.heads, {"classes": c, "method": method, "options": options})
        for c in asked
    ]
    examples = [steps.reader.read(image, "x").prepared() for image in shifted]
    together = explain_examples(join(plans), examples)
    for image, classes, (found,) in zip(shifted, asked, together, strict=True):
        alone = explainer.explain(image, classes, method=method, options=options)
        assert found.classes == alone.classes
        np.testing.assert_allclose(found.maps, alone.maps, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.scores, alone.scores, rtol=1e-5)


def test_one_that_fails_takes_no_other_along(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is run again alone, for its own class."""
    steps = Explainer(artifact, "cpu")._steps
    plans = [make_plan(steps.session, steps.heads, {"classes": [n]}) for n in range(3)]
    examples = [steps.reader.read(SCENE, "x").prepared() for _ in plans]
    examples[1].values["image"].ready[:] = np.nan
    run = type(steps.session).run

    def picky(session: Any, feeds: Any, names: Any = None) -> Any:
        if np.isnan(feeds["image"]).any():
            raise RunError("the run failed")
        return run(session, feeds, names)

    monkeypatch.setattr(type(steps.session), "run", picky)
    found = explain_each(join(plans), examples)
    assert [isinstance(one, Explanation) for one in found] == [True, False, True]
    assert [found[0].classes, found[2].classes] == [[0], [2]]


def explain_together(
    client: TestClient, queries: Sequence[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    asks = [partial(explain, client, **query) for query in queries]
    first = partial(explain, client, method="fem")
    return [one.json() for one in ask_together(client, "patches", first, asks, monkeypatch)]


def test_waiting_requests_share_a_run_also_with_different_classes(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = [{"class": "red"}, {"class": "blue"}, {}, {"top": 2}, {"class": "1"}]
    with served(patches=artifact) as client:
        found = explain_together(client, queries, monkeypatch)
        alone = [explain(client, **query).json() for query in queries]
        text = client.get("/metrics").text
    assert [one["batch"] for one in found] == [4, 4, 4, 1, 4]
    for one, truth in zip(found, alone, strict=True):
        assert one["explanations"] == truth["explanations"]
        assert one["predictions"] == truth["predictions"]
    assert 'graftcam_batch_size_count{model="patches"} 8.0' in text


def test_a_full_queue_answers_429_and_loses_nothing(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(Limits(queue=3), patches=artifact) as client:
        model = client.service.model("patches")
        go = gated(model, monkeypatch)
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(explain, client) for _ in range(3)]
            until(lambda: client.service._busy == 3)
            refused = explain(client)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert "3 requests are waiting" in refused.json()["error"]
            go.set()
            assert [one.result(20).status_code for one in waiting] == [200] * 3
        assert explain(client).status_code == 200


def test_an_answer_that_takes_too_long_is_dropped(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(Limits(timeout=0.2), patches=artifact) as client:
        model = client.service.model("patches")
        go = gated(model, monkeypatch)
        late = [explain(client), explain(client)]
        assert [one.status_code for one in late] == [504, 504]
        assert "longer than 0.2 s" in late[0].json()["error"]
        assert len(model.batches) == 0
        go.set()
        assert explain(client).status_code == 200


def test_waiting_for_room_for_its_pixels_takes_time_too(artifact: Path) -> None:
    with served(Limits(timeout=0.2), patches=artifact) as client:
        free, client.service.pixels._free = client.service.pixels._free, 0
        assert explain(client).status_code == 504
        client.service.pixels._give(free)
        assert client.service.pixels._free == free
        assert explain(client).status_code == 200


def test_a_method_of_many_runs_stops_when_nobody_waits(artifact: Path) -> None:
    with served(patches=artifact) as client:
        model = client.service.model("patches")
        plan = model.plan({"method": "rise", "options": {"masks": 5000}}, "key")
        question = model.read(plan, {"image": SCENE}, "x")
        job = model.ask(question, "kind")
        until(job.result.running)
        job.drop()
        with pytest.raises(DroppedError):
            job.result.result(20)


def test_bodies_share_the_memory(artifact: Path) -> None:
    with served(Limits(memory=1000), patches=artifact) as client:
        refused = client.post(
            "/api/models/patches/explain",
            content=bytes(2000),
            headers={"Content-Type": "image/png"},
        )
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert client.service.memory._used == 0


def test_tensors_share_the_memory_with_bodies(artifact: Path) -> None:
    """Two characters of a text can stand for the eight bytes of a number."""
    body = {"inputs": [{"name": "x", "shape": [400], "datatype": "FP64", "data": [0] * 400}]}
    with served(Limits(memory=4000), patches=artifact) as client:
        answer = client.post("/v2/models/patches/infer", json=body)
        assert int(answer.request.headers["content-length"]) < 2000
        assert answer.status_code == 429
        assert client.service.memory._used == 0


async def _shares() -> list[str]:
    shares, seen = Shares(10), list[str]()

    async def one(name: str, count: int, go: asyncio.Event) -> None:
        async with shares.take(count):
            seen.append(f"+{name}")
            await go.wait()
        seen.append(f"-{name}")

    events = [asyncio.Event() for _ in range(4)]
    tasks = [
        asyncio.ensure_future(one(name, count, event))
        for name, count, event in zip("abcd", (6, 100, 3, 2), events, strict=True)
    ]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.sleep(0)
    for event in events:
        event.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert shares._free == 10
    return seen


def test_shares_are_taken_in_order_and_given_back() -> None:
    assert asyncio.run(_shares()) == ["+a", "-a", "+b", "-b", "+d", "-d"]


async def _given_at_the_end() -> int:
    shares = Shares(10)

    async def take() -> None:
        async with shares.take(10):
            pass

    async with shares.take(10):
        late = asyncio.ensure_future(take())
        await asyncio.sleep(0)
    late.cancel()  # it has got its part, and has not begun
    await asyncio.gather(late, return_exceptions=True)
    return shares._free


def test_a_share_of_one_who_is_gone_is_given_back() -> None:
    assert asyncio.run(_given_at_the_end()) == 10


def test_a_thousand_plans_are_not_remembered(tmp_path: Path) -> None:
    with served(layers=write_two_layers(tmp_path / "m.onnx")) as client:
        model = client.service.model("layers")
        for number in range(300):
            model.plan({"classes": [0]}, number)
        assert len(model._plans) == 256


def test_real_digits_in_one_run_are_those_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(patches=exported_digits()) as client:
        queries = [{"class": name} for name in ("zero", "eight", "seven", "one")]
        found = explain_together(client, queries, monkeypatch)
        for one, query in zip(found, queries, strict=True):
            truth = explain(client, **query).json()["explanations"][0]
            assert one["explanations"][0]["score"] == pytest.approx(truth["score"], rel=1e-4)
            assert one["batch"] == 4
