"""This script measures images per second of a folder's job, in this process and on Ray.

It writes ``docs/ray.json``, which `make bench` adds to its page.

    python -m benchmarks.ray_actors model.onnx photo.jpg --images 200 --actors 1 2

Every actor has one thread, and so has the run in this process. The clock starts when the cluster is
up and the actors have opened their sessions, so the result is the throughput of a long job.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import ray

from graftcam.runtime.tools.jobs.cluster import on_ray
from graftcam.runtime.tools.jobs.run import Batch, Engine, local, run
from graftcam.runtime.tools.jobs.settings import Settings
from graftcam.runtime.tools.jobs.table import Row
from graftcam.runtime.tools.jobs.work import Worker

from .script import DOCS, options, write_json


def main() -> None:
    """Measure and print."""
    asked = options(
        __doc__, "model", "image",
        images=(200, "images in the folder"), actors=([1, 2], "numbers of actors to try"),
        docs=(DOCS, "folder for the result"),
    )  # fmt: skip
    ray.init(
        address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    engines: dict[str, Engine] = {"this process": local}
    engines |= {f"{count} actor{'s' * (count > 1)}": on_ray(actors=count) for count in asked.actors}
    with tempfile.TemporaryDirectory(prefix="graftcam-") as place:
        folder = Path(place) / "images"
        folder.mkdir()
        for i in range(asked.images):
            shutil.copy(asked.image, folder / f"{i:05}{asked.image.suffix}")
        paces: dict[str, float] = {}
        for name, engine in engines.items():
            output = str(Path(place) / name)
            settings = Settings(str(asked.model.resolve()), str(folder), output, threads=1)
            paces[name] = round(_pace(engine, settings), 1)
            print(f"{name}: {paces[name]} images a second")
    write_json(asked.docs / "ray.json", paces)


def _pace(engine: Engine, settings: Settings) -> float:
    """Images per second from an engine's first result to its last."""
    results: list[tuple[float, int]] = []

    def watched(worker: Worker, batches: Sequence[Batch]) -> Generator[list[Row]]:
        for rows in engine(worker, batches):
            results.append((time.perf_counter(), len(rows)))
            yield rows
        results.append((time.perf_counter(), 0))

    run(settings, watched)
    return sum(count for _, count in results[1:]) / (results[-1][0] - results[0][0])


if __name__ == "__main__":
    main()
