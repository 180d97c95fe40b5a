"""`measure` measures what explaining with one artifact costs."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ...session.providers import load_onnxruntime
from ...session.session import Session, Tensors
from . import variants
from .floor.floor import Floor, find_floor
from .profile import Profile
from .timing import calm, interleave, quartiles, ratio, warm_up

_SECONDS, _ROUNDS = 10.0, (10, 200)
_PROCESSES = 3


@dataclass(frozen=True)
class Row:
    """The cost of one variant.

    Attributes:
        name: ``plain``, ``K = <number>`` or ``K = <number> of <output>``.
        classes: Number of explained classes or boxes; None: the plain model.
        ms: Milliseconds of a run: first quartile, median, third quartile.
        of_base: Quartiles of the rounds' ratios to the first row.
        peak_bytes: Peak memory above that of a process that only imports: the smallest, the
            median and the largest of three processes; None: the system does not report it.
        peak_of_base: Ratio of the median to the first row's.
        output: The output that the classes are of, where the artifact explains several.
    """

    name: str
    classes: int | None
    ms: list[float]
    of_base: list[float]
    peak_bytes: list[int] | None
    peak_of_base: float | None
    output: str | None = None


@dataclass(frozen=True)
class Cost:
    """All measured costs.

    Attributes:
        artifact: The file.
        layers: Its target layers.
        inputs: Shapes of the inputs.
        provider: The execution provider.
        threads: Threads within one operator; None: ONNX Runtime's choice.
        plain: Origin of the plain model; None: it was not measured.
        rounds: How often each variant was timed.
        machine: Cores, system, load before the start, version of ONNX Runtime.
        rows: The plain model, if measured, K = 0, K = 1, and the requested classes or boxes.
        profile: Profile of the last row.
        plain_profile: Profile of the plain model.
        floor: Work of the last row's run compared with this machine's peak, if requested.
    """

    artifact: Path
    layers: list[str]
    inputs: dict[str, list[int]]
    provider: str
    threads: int | None
    plain: str | None
    rounds: int
    machine: dict[str, Any]
    rows: list[Row]
    profile: Profile
    plain_profile: Profile | None
    floor: Floor | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the costs as plain JSON types."""
        data = asdict(self)
        data["artifact"] = str(self.artifact)
        data["profile"] = self.profile.to_dict()
        data["plain_profile"] = self.plain_profile and self.plain_profile.to_dict()
        data["floor"] = self.floor and self.floor.to_dict()
        return data


def open_artifact(path: Path, provider: str | None, threads: int | None) -> Session:
    """Open an artifact so that it can be timed in turns with others.

    Raises:
        GraftcamError: As ``Explainer`` does.
    """
    return Session(path, provider, threads, calm)


def measure(
    artifact: Session,
    feeds: Tensors,
    asked: variants.Asked,
    plain: Path | None,
    origin: str,
    *,
    rounds: int | None,
    threads: int | None,
    floor: bool = False,
    progress: Callable[[str], None],
) -> Cost:
    """Measure the time, the profile and the memory of explaining.

    Args:
        artifact: From `open_artifact`.
        feeds: The model's inputs by name, from `make_feeds`.
        asked: What to explain of each output: classes, as ``class_index`` takes them, or boxes;
            with a linear score only their number matters.
        plain: The model without explanation; its inputs are the artifact's, by name or in order.
        origin: Origin of the plain model, as text.
        rounds: How often each variant is timed; None: for about ten seconds, 10 to 200 times.
        threads: The value that `open_artifact` got.
        floor: Whether to count multiplications and bytes of the last variant.
        progress: Called with the name of each step as it begins.

    Raises:
        InputError: The plain model has other inputs or outputs.
        SessionError: ONNX Runtime failed.
    """
    machine = _machine()
    chosen = variants.explained(artifact, feeds, asked, threads)
    base = None
    if plain is not None:
        base = variants.plain(plain, chosen[0], artifact.spec.own_inputs)
        chosen.insert(0, base)
    runs = {variant.name: variant for variant in chosen}
    progress(f"warming up {', '.join(runs)}")
    seconds = warm_up(runs)
    rounds = rounds or round(min(max(_SECONDS / seconds, _ROUNDS[0]), _ROUNDS[1]))
    progress(f"timing {rounds} rounds, about {rounds * seconds:.0f} s")
    times = interleave(runs, rounds)
    progress("profile")
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        graph = None
        if floor:
            profile, graph = chosen[-1].profile_and_graph(Path(folder))
        else:
            profile = chosen[-1].profile(Path(folder))
        plain_profile = base.profile(Path(folder)) if base else None
    progress("peak memory")
    # The allocator's memory differs between processes by a seventh.
    turns = [[variant.peak_memory() for variant in chosen] for _ in range(_PROCESSES)]
    peaks = [sorted(p for p in peaks if p) or None for peaks in zip(*turns, strict=True)]
    rows: list[Row] = []
    for variant, peak in zip(chosen, peaks, strict=True):
        ms, of_base = times[variant.name], ratio(times[variant.name], times[chosen[0].name])
        more = median(peak) / median(peaks[0]) if peak and peaks[0] else None
        row = Row(variant.name, variant.classes, quartiles(ms), of_base, peak, more, variant.of)
        rows.append(row)
    return Cost(
        artifact.path, [layer.name for layer in artifact.spec.layers],
        {name: list(value.shape) for name, value in feeds.items()}, artifact.provider, threads,
        origin if base else None, rounds, machine, rows, profile, plain_profile,
        find_floor(profile, artifact.spec, graph) if floor else None,
    )  # fmt: skip


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "onnxruntime": load_onnxruntime().__version__,
    }
