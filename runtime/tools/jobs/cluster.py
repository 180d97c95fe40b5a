"""Ray distributes a job's batches to actors with a session each, which return rows.

Artifact, images and results have the same paths on every node (one machine, or a shared file
system). Only paths and rows are sent. A batch gives the same rows and files whichever actor
computes it and however often, so Ray may repeat one on another actor when the first one dies.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

from ...errors import GraftcamError, JobError
from .run import Batch, Engine, Rows, Work


def on_ray(address: str | None = None, actors: int | None = None) -> Engine:
    """Return an engine that distributes the batches to ``actors`` on a Ray cluster.

    Args:
        address: Address of the cluster, as ``ray.init`` takes it: ``auto``, ``host:port`` or
            ``ray://host:port``; None: a cluster of this machine's cores, for this job alone.
        actors: How many; None: as many as the cluster has cores for. Each occupies the cores of
            the settings' ``threads``, or one core.

    Raises:
        JobError: Ray is missing, there is no cluster, or an actor reports an error.
    """

    def engine(worker: Work, batches: Sequence[Batch]) -> Generator[Rows]:
        if not batches:
            return
        try:
            import_module("ray.data")
        except ImportError:
            raise JobError(
                'Ray is missing; install it with `pip install "graftcam[ray]"`'
            ) from None
        ray: Any = import_module("ray")
        settings = replace(worker.settings, threads=worker.settings.threads or 1)
        with connected(ray, address):
            make = partial(type(worker), settings)
            yield from _explained(ray, make, settings.threads or 1, batches, actors)

    return engine


class Actor:
    """One session in its own process. It returns errors that a user can fix as text."""

    def __init__(self, make: Callable[[], Work]) -> None:
        self._make = make
        self._worker: Work | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """Explain the images of one batch.

        Args:
            batch: ``paths``: one text, a JSON list.

        Returns:
            ``rows``, one text, a JSON list; ``trouble``, one text, empty without an error.
        """
        try:
            # Not in __init__: Ray would try again and again to make an actor that fails there.
            self._worker = self._worker or self._make()
            rows = self._worker(json.loads(batch["paths"][0]))
        except GraftcamError as error:
            return {"rows": ["[]"], "trouble": [str(error)]}
        return {"rows": [json.dumps(rows)], "trouble": [""]}


def _explained(
    ray: Any, make: Callable[[], Work], threads: int, batches: Sequence[Batch], actors: int | None
) -> Generator[Rows]:
    """Yield the rows of each finished batch. A batch is one block, which Ray repeats as a whole."""
    room = int(ray.cluster_resources().get("CPU", 0)) // threads
    count = actors or room
    if not 0 < count <= room:
        raise JobError(
            f"the cluster has cores for {room} actors of {threads} threads, not for "
            f"{max(count, 1)}; give fewer --actors or --threads"
        )
    ray.data.DataContext.get_current().enable_progress_bars = False
    items = [{"paths": json.dumps(batch)} for batch in batches]
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        Actor,
        fn_constructor_args=(make,),
        batch_size=1,
        num_cpus=threads,
        compute=ray.data.ActorPoolStrategy(size=min(count, len(items))),
    )
    for one in done.iter_rows():
        if one["trouble"]:
            raise JobError(one["trouble"])
        yield json.loads(one["rows"])


@contextlib.contextmanager
def connected(ray: Any, address: str | None) -> Generator[None]:
    """Connect to Ray, and disconnect at the end unless the caller was connected before.

    Args:
        ray: The package.
        address: See `on_ray`.

    Raises:
        JobError: There is no cluster.
    """
    if ray.is_initialized():
        yield
        return
    # Sends no usage statistics and prints no log.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    local = {"include_dashboard": False} if address is None else {}
    try:
        _reach(address or "local")
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **local)
    except Exception as error:  # Ray raises plain exceptions, too
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise JobError(
            f"no Ray cluster at {address or 'this machine'}: {reason}; start one with "
            "`ray start --head`, or leave --ray-address out"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError if nothing listens at the address; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
