"""This script measures images per second of a folder's job, in this process and on Ray.

It writes ``docs/ray.json``, which `make bench` adds to its page.

    python -m benchmarks.ray_actors model.onnx photo.jpg --images 200 --actors 1 2

Every actor has one thread, and so has the run in this process. The clock starts when the cluster is
up and the actors have opened their sessions, so the result is the throughput of a long job.
"""

from __future__ import annotations

import argparse
import json
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

_ROOT = Path(__file__).resolve().parent.parent


class Clock:
    """Times an engine from its first result to its last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.pace = 0.0

    def __call__(self, worker: Worker, batches: Sequence[Batch]) -> Generator[list[Row]]:
        """Hand the engine's results on."""
        since, images = None, 0
        for rows in self._engine(worker, batches):
            if since is None:
                since = time.perf_counter()
            else:
                images += len(rows)
            yield rows
        if since is not None:
            self.pace = images / (time.perf_counter() - since)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--docs", type=Path, default=_ROOT / "docs")
    asked = parser.parse_args()
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    engines: dict[str, Engine] = {"this process": local}
    engines |= {f"{count} actor{'s' * (count > 1)}": on_ray(actors=count) for count in asked.actors}
    paces: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="graftcam-") as place:
        folder = Path(place) / "images"
        folder.mkdir()
        for i in range(asked.images):
            shutil.copy(asked.image, folder / f"{i:05}{asked.image.suffix}")
        for name, engine in engines.items():
            clock = Clock(engine)
            output = Path(place) / name
            run(Settings(str(asked.model.resolve()), str(folder), str(output), threads=1), clock)
            print(f"{name}: {clock.pace:.1f} images a second")
            paces[name] = round(clock.pace, 1)
    (asked.docs / "ray.json").write_text(json.dumps(paces, indent=1) + "\n")


if __name__ == "__main__":
    main()
