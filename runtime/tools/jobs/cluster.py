"""A job's work on Ray: batches go to actors, each with a session of its own, and rows come back.

Artifact, images and results are reached under the same paths on every node (one machine, or a
shared file system). Only paths and rows travel. A batch gives the same rows and files whoever
computes it and however often, so Ray may give one to another actor when the first one dies.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

from ...errors import GraftcamError, JobError
from .run import Batch, Engine
from .settings import Settings
from .table import Row
from .work import Worker


def on_ray(address: str | None = None, actors: int | None = None) -> Engine:
    """An engine that deals the batches out to ``actors`` on a Ray cluster.

    Args:
        address: Of the cluster, as ``ray.init`` takes it: ``auto``, ``host:port`` or
            ``ray://host:port``; None: a cluster of this machine's cores, for this job alone.
        actors: How many; None: as many as the cluster's cores hold. Each occupies the cores of the
            settings' ``threads``, one where they leave that open.

    Raises:
        JobError: Ray is missing, there is no cluster, or an actor reports trouble.
    """

    def engine(worker: Worker, batches: Sequence[Batch]) -> Generator[list[Row]]:
        if not batches:
            return
        ray = _load()
        with _connected(ray, address):
            yield from _explained(ray, worker.settings, batches, actors)

    return engine


class Actor:
    """One session in a process of its own. What a user can mend comes back as a text."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._worker: Worker | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Explain the images of one batch.

        Args:
            batch: ``paths``: one text, a JSON list.

        Returns:
            ``rows``, one text, a JSON list; ``trouble``, one text, empty where there is none.
        """
        try:
            # Not before: an actor that cannot be made is made again and again.
            self._worker = self._worker or Worker(self._settings)
            rows = self._worker(json.loads(batch["paths"][0]))
        except GraftcamError as error:
            return {"rows": ["[]"], "trouble": [str(error)]}
        return {"rows": [json.dumps(rows)], "trouble": [""]}


def _explained(
    ray: Any, settings: Settings, batches: Sequence[Batch], actors: int | None
) -> Generator[list[Row]]:
    """Rows of each batch as it is done. A batch is one block, which Ray repeats as a whole."""
    threads = settings.threads or 1
    room = int(ray.cluster_resources().get("CPU", 0)) // threads
    count = actors or room
    if not 0 < count <= room:
        raise JobError(
            f"the cluster's cores hold {room} actors of {threads} threads, {max(count, 1)} are "
            "asked for; give fewer --actors or --threads"
        )
    settings = replace(settings, threads=threads)
    items = [{"paths": json.dumps(batch)} for batch in batches]
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        Actor,
        fn_constructor_args=(settings,),
        batch_size=1,
        num_cpus=threads,
        compute=ray.data.ActorPoolStrategy(size=min(count, len(items))),
    )
    for one in done.iter_rows():
        if one["trouble"]:
            raise JobError(one["trouble"])
        yield json.loads(one["rows"])


@contextlib.contextmanager
def _connected(ray: Any, address: str | None) -> Generator[None]:
    """A connection to Ray, closed again unless the caller had it already."""
    if ray.is_initialized():
        yield
        return
    # A cluster that exists for this job tells nobody about it, and says nothing on its own.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    local = {"include_dashboard": False} if address is None else {}
    try:
        _reach(address or "local")
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **local)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise JobError(
            f"no Ray cluster at {address or 'this machine'}: {reason}; start one with "
            "`ray start --head`, or leave --ray-address out"
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()


def _load() -> Any:
    try:
        import_module("ray.data")
    except ImportError:
        raise JobError('Ray is missing; install it with `pip install "graftcam[ray]"`') from None
    return import_module("ray")
