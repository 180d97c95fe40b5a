"""The command in a process of its own: its port, its signals, its connections."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from support.artifacts import write_artifact
from support.cli import fail, refuse
from support.served import connect, picture, process

ADDRESS = "/api/models/patches/explain"
HEADERS = {"Content-Type": "image/png"}


def long(seed: int) -> str:
    """A request that runs long enough for a signal to meet it, together with no other seed's."""
    return f"{ADDRESS}?method=rise&option=masks=10000&option=seed={seed}"


def post(port: int, path: str = ADDRESS) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, picture(), HEADERS)
    answer = connection.getresponse()
    found = answer.status, json.load(answer)
    connection.close()
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_when_what_was_accepted_is_answered(
    artifact: Path, number: signal.Signals
) -> None:
    with process(artifact) as (service, port), ThreadPoolExecutor() as pool:
        running = [pool.submit(post, port, long(seed)) for seed in range(2)]
        wait_for_runs(port)
        service.send_signal(number)
        assert [one.result()[0] for one in running] == [200, 200]
        assert service.wait(30) == 0
        with pytest.raises(ConnectionRefusedError):
            connect(port)


def metrics(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def wait_for(port: int, line: str) -> str:
    """Wait until the metrics have a line; return all."""
    end = time.monotonic() + 30
    while line not in (text := metrics(port)):
        assert time.monotonic() < end, text
    return text


def wait_for_runs(port: int) -> None:
    """Wait until a request is with the model and another one waits for it."""
    wait_for(port, 'graftcam_queue{model="patches"} 1.0')


def test_a_second_signal_ends_it_at_once(artifact: Path) -> None:
    count = 12  # seconds of work, which do not end before the second signal
    with process(artifact) as (service, port), ThreadPoolExecutor(count) as pool:
        running = [pool.submit(post, port, long(seed)) for seed in range(count)]
        wait_for(port, f'graftcam_queue{{model="patches"}} {count - 1}.0')
        service.send_signal(signal.SIGTERM)
        until_refused(port)
        service.send_signal(signal.SIGTERM)
        service.wait(20)
        assert any(one.exception() for one in running)


def until_refused(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            connect(port).close()
        except ConnectionRefusedError:
            return


def test_an_open_connection_is_answered_once_more(artifact: Path) -> None:
    with process(artifact) as (service, port):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", ADDRESS, picture(), HEADERS)
        connection.getresponse().read()
        service.send_signal(signal.SIGTERM)
        until_refused(port)
        connection.request("POST", ADDRESS, picture(), HEADERS)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("connection") == "close"
        assert answer.read()
        assert service.wait(30) == 0


def test_a_successor_takes_the_socket_over_and_no_request_is_lost(artifact: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        number, port = listener.fileno(), listener.getsockname()[1]
        statuses: list[int] = []
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                statuses.append(post(port)[0])

        started = [process(artifact, "--fd", number, pass_fds=[number]) for _ in range(2)]
        with started[0] as (first, _), ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask) for _ in range(4)]
            with started[1] as (second, _):
                first.send_signal(signal.SIGTERM)
                assert first.wait(30) == 0
                count = len(statuses)
                end = time.monotonic() + 30
                while len(statuses) < count + 50:
                    assert second.poll() is None
                    assert time.monotonic() < end
                done.set()
                for one in asking:
                    one.result(30)
                second.send_signal(signal.SIGTERM)
                assert second.wait(30) == 0
        assert set(statuses) == {200}


def test_a_client_that_hangs_up_leaves_the_queue(artifact: Path) -> None:
    with process(artifact) as (_, port), ThreadPoolExecutor() as pool:
        running = [pool.submit(post, port, long(seed)) for seed in range(2)]
        wait_for_runs(port)
        body = picture()
        head = f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        gone = connect(port)
        gone.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_for(port, 'graftcam_queue{model="patches"} 2.0')
        gone.close()
        wait_for(port, 'status="499"')
        assert [one.result()[0] for one in running] == [200, 200]
        # Only the long ones ran.
        assert 'graftcam_batch_size_count{model="patches"} 2.0' in metrics(port)


def test_slow_clients_are_answered_408_or_cut_off(artifact: Path) -> None:
    with process(artifact, "--timeout", 1) as (_, port):
        silent, slow_head, slow_body = connect(port), connect(port), connect(port)
        slow_head.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Long")
        slow_body.sendall(
            f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            "Content-Length: 5000\r\n\r\nabc".encode()
        )
        answer = slow_body.recv(4096).decode()
        assert answer.startswith("HTTP/1.1 408 ")
        assert "the body did not come within 1 s" in answer or "did not come" in (
            slow_body.recv(4096).decode()
        )
        assert silent.recv(10) == b""
        assert slow_head.recv(10) == b""
        assert post(port)[0] == 200
        for one in (silent, slow_head, slow_body):
            one.close()


def read_all(client: socket.socket, pause: float) -> bytes:
    """Read until the end of the connection, some bytes at a time."""
    parts: list[bytes] = []
    with contextlib.suppress(ConnectionError):
        while part := client.recv(100_000):
            parts.append(part)
            time.sleep(pause)
    return b"".join(parts)


def test_an_answer_that_its_client_does_not_read_is_given_up(artifact: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    with process(artifact, "--timeout", 2) as (_, port):
        body = picture(noise)
        head = (
            f"POST {ADDRESS}?images=overlay&top=4 HTTP/1.1\r\nHost: x\r\n"
            "Content-Type: image/png\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        asleep, slow = connect(port), connect(port)
        for one in (asleep, slow):
            one.sendall(head + body)
            one.recv(1000, socket.MSG_PEEK)  # the answer has begun
        whole = read_all(slow, 0.05)
        declared = int(whole.partition(b"content-length: ")[2].split()[0])
        assert declared > 5_000_000
        assert len(whole) > declared
        time.sleep(2)
        assert len(read_all(asleep, 0)) < declared
        for one in (asleep, slow):
            one.close()


def test_who_sends_too_much_sees_the_answer(artifact: Path) -> None:
    with process(artifact, "--max-bytes", 100_000) as (_, port):
        for length in (700_000, 10_000_000):
            client = connect(port)
            client.sendall(
                f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                f"Content-Length: {length}\r\n\r\n".encode()
            )
            with contextlib.suppress(ConnectionError):  # beyond a multiple of the limit
                client.sendall(bytes(length))
            if length < 800_000:
                assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
            client.close()
        waiting = connect(port)
        waiting.sendall(
            f"POST {ADDRESS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            "Content-Length: 700000\r\n\r\n".encode()
        )
        assert waiting.recv(4096).startswith(b"HTTP/1.1 413 ")
        waiting.close()
        assert post(port)[0] == 200


def test_hundreds_of_requests_at_once_are_answered_or_refused(artifact: Path) -> None:
    with process(artifact, "--queue", 20) as (_, port), ThreadPoolExecutor(64) as pool:
        found = list(pool.map(lambda _: post(port), range(300)))
        assert {status for status, _ in found} <= {200, 429}
        assert sum(status == 200 for status, _ in found) >= 20
        assert post(port)[0] == 200


def test_it_says_nothing_of_what_it_is_sent(artifact: Path) -> None:
    with process(artifact) as (service, port):
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", f"{ADDRESS}?class=secret-class", b"x", HEADERS)
        assert connection.getresponse().status == 400
        connection.close()
        service.send_signal(signal.SIGTERM)
        assert service.stderr is not None
        assert service.stderr.read() == ""


def test_a_port_in_use_and_a_wrong_socket_are_one_line(artifact: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refuse("serve", artifact, "--port", port)
        assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in line
    assert "cannot listen on nowhere.invalid" in refuse("serve", artifact, "--host",
                                                        "nowhere.invalid")  # fmt: skip
    with (tmp_path / "file").open("w") as file:
        assert "it is no socket" in refuse("serve", artifact, "--fd", file.fileno())
    with socket.socket() as idle:
        assert "it does not listen" in refuse("serve", artifact, "--fd", idle.detach())
    assert "Bad file descriptor" in refuse("serve", artifact, "--fd", 999)


REFUSED = {
    "two models of one name": (["ARTIFACT", "ARTIFACT"], "two models are called 'patches'"),
    "a name that is none": (["my/model=ARTIFACT"], "the model cannot be called 'my/model'"),
    "no file": (["nothing.onnx"], "no such file"),
    "no model": (["photo.jpg"], "is an image, no model"),
}  # fmt: skip


@pytest.mark.parametrize(("models", "words"), REFUSED.values(), ids=REFUSED)
def test_wrong_models_are_one_line(artifact: Path, models: list[str], words: str) -> None:
    given = [model.replace("ARTIFACT", str(artifact)) for model in models]
    assert words in refuse("serve", *given, "--port", 0)


def test_an_artifact_that_cannot_be_opened_ends_it_with_one_line(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "old.onnx", metadata='{"version": 99}')
    assert "supports up to" in refuse("serve", path, "--port", 0)


def test_the_log_handlers_of_other_packages_stay_open(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "old.onnx", metadata='{"version": 99}')
    other = logging.StreamHandler()
    with patch.object(other, "close") as close:
        refuse("serve", path, "--port", 0)
        close.assert_not_called()


@pytest.mark.parametrize(
    "options",
    [
        ["--replicas", "2"], ["--ray-address", "auto"], ["--engine", "ray", "--replicas", "4-1"],
        ["--engine", "ray", "--replicas", "0"], ["--engine", "ray", "--fd", "3"],
        ["--port", "70000"], ["--timeout", "0"], ["--batch", "0"],
    ],
)  # fmt: skip
def test_wrong_options_are_usage_errors(artifact: Path, options: list[str]) -> None:
    fail("serve", artifact, *options, code=2)


def test_a_missing_extra_is_one_line(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda n, *a: None if n == "uvicorn" else find(n, *a))
    assert 'uvicorn missing, which the service needs: pip install "graftcam[serve]"' in refuse(
        "serve", artifact
    )
