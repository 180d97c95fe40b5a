"""`answers` asks a process of its own, which may crash or hang without harm to who asks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


def answers(
    answer: Callable[[], Callable[[Question], Answer]],
    questions: Iterator[Question],
    until: float,
    timeout: float,
    failed: Callable[[Question, str], Answer],
) -> Iterator[Answer]:
    """Yield the answer to each question, from one process that is started again when it ends.

    Args:
        answer: Called once in each process, it returns what answers; importable by its name.
        questions: What to ask.
        until: When to ask no more, in seconds of `time.monotonic`.
        timeout: Seconds for one answer.
        failed: Gives the answer to a question that ended the process, or was never answered, with
            what happened.
    """
    context = get_context("spawn")
    process = pipe = None
    try:
        for one in questions:
            if time.monotonic() > until:
                break
            if process is None:
                pipe, other = context.Pipe()
                process = context.Process(target=_serve, args=(other, answer), daemon=True)
                process.start()
                other.close()
            pipe.send(one)
            try:
                hung = not pipe.poll(timeout)
                yield failed(one, f"not done after {timeout:.0f} s") if hung else pipe.recv()
            except EOFError:
                process.join()
                hung = True
                yield failed(one, f"the process ended with code {process.exitcode}")
            if hung:
                process.kill()
                process = None
    finally:
        if process is not None:
            process.kill()


def in_parallel(
    questions: Iterable[Question],
    jobs: int,
    ask: Callable[[Iterator[Question]], Iterator[Answer]],
    take: Callable[[Answer], None],
) -> None:
    """Let several processes answer questions of one queue.

    Args:
        questions: What to ask, each once.
        jobs: How many processes.
        ask: Answers questions by one process, as `answers` does.
        take: Called with each answer, never twice at a time.
    """
    lock, queue = threading.Lock(), iter(questions)

    def next_ones() -> Iterator[Question]:
        while True:
            with lock:
                try:
                    one = next(queue)
                except StopIteration:
                    return
            yield one

    def work() -> None:
        for answer in ask(next_ones()):
            with lock:
                take(answer)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _serve(pipe: Any, answer: Callable[[], Callable[[Any], Any]]) -> None:
    """Answer until the other side goes away."""
    with Path(os.devnull).open("w") as nowhere:  # what native code prints is no answer
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    find = answer()
    while True:
        try:
            asked = pipe.recv()
        except EOFError:
            return
        pipe.send(find(asked))
