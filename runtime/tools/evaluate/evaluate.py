"""`evaluate` scores maps of methods and layers on photographs; it finds an `Evaluation`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ...errors import ImageError, InputError, RenderError
from ...explainer import Explainer
from ...inorder import batched
from ...json_text import write_json
from ...output.render import panel
from ...writing import replace_file
from ..jobs.run import Engine, do, local
from ..jobs.run import Summary as Job
from .evaluator import Evaluator
from .measure import MEASURES
from .report.advice import Pick, below, pick
from .report.page import Shown, page_of
from .report.summary import Summary, name_of, summarise
from .settings import EvaluationSettings

_SHOWN = 3  # best, and worst, photographs on the page
_HEIGHT = 220  # of a photograph there, in pixels


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        rows: A record for each photograph; see `table.ScoreRow`.
        settings: What was evaluated.
    """

    rows: Sequence[Mapping[str, Any]]
    settings: EvaluationSettings

    @cached_property
    def summary(self) -> Summary:
        """Means with intervals, paired tests and curves."""
        return summarise(self.rows)

    def pick(self) -> Pick | None:
        """Return the method and layer that win, as advice; None without numbers."""
        return pick(self.summary)

    def below(self, demands: Mapping[str, float]) -> list[str]:
        """Say which methods are not as good as demanded; see `advice.below`."""
        return below(self.summary, demands)

    def page(self) -> str:
        """Return the page as HTML: table, curves, the best and the worst photographs."""
        chosen = self.pick()
        best, worst = ([], []) if chosen is None else self._shown(chosen)
        name = Path(self.settings.model).name
        return page_of(f"Maps of {name}, scored", self.summary, chosen, best, worst)

    def _shown(self, chosen: Pick) -> tuple[list[Shown], list[Shown]]:
        measures = [name for name in ("insertion", "deletion") if name in self.summary.standings]
        measures = measures or chosen.measures[:1]
        ranked: list[tuple[float, str, Mapping[str, Any], Mapping[str, float]]] = []
        for row in self.rows:
            for item in row["items"]:
                for one in item["maps"]:
                    if name_of(one["method"], one["layer"]) == chosen.name:
                        scores = {m: one["scores"].get(m) for m in measures}
                        if None not in scores.values():
                            total = sum(MEASURES[m].sign * v for m, v in scores.items())
                            ranked.append((total, row["path"], item, scores))
        ranked.sort(key=lambda entry: -entry[0])
        few = min(_SHOWN, len(ranked) // 2)
        explainer = Explainer(
            self.settings.model, self.settings.provider, self.settings.threads,
            max_pixels=self.settings.max_pixels, preprocess=self.settings.preprocess,
        )  # fmt: skip
        best = [self._drawn(explainer, chosen, *one[1:]) for one in ranked[: few or 1]]
        worst = [self._drawn(explainer, chosen, *one[1:]) for one in ranked[::-1][:few]]
        return best, worst

    def _drawn(
        self,
        explainer: Explainer,
        chosen: Pick,
        path: str,
        item: Mapping[str, Any],
        scores: Mapping[str, float],
    ) -> Shown:
        found = explainer.explain(
            Path(self.settings.images) / path, item["class"], method=chosen.method,
            layer=chosen.layer, output=self.settings.output_name,
        )  # fmt: skip
        height = min(_HEIGHT, found.image.shape[0])
        image = panel([found.image, found.draw()], ["", chosen.method], height)
        return Shown(path, item["label"], image, scores)

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``summary.json`` and ``index.html`` to a folder.

        Raises:
            RenderError: A file cannot be written.
        """
        chosen = self.pick()
        record = {**self.summary.to_dict(), "pick": None if chosen is None else vars(chosen)}
        files = {
            "summary.json": write_json(record, indent=2) + "\n",
            "index.html": self.page(),
        }
        for name, text in files.items():
            replace_file(Path(folder) / name, text.encode(), RenderError)
        return [Path(folder) / name for name in files]


def evaluate(
    model: str | Path,
    images: str | Path | Sequence[str | Path],
    to: str | Path | None = None,
    *,
    methods: Sequence[str] = ("gradcam",),
    layers: Sequence[str] = (),
    measures: Sequence[str] = (),
    truth: str | Path | None = None,
    classes: Sequence[int | str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **more: Any,
) -> Evaluation:
    """Score maps on photographs.

    Args:
        model: The artifact.
        images: A folder, or photographs.
        to: A folder for the table of all photographs (``results.jsonl``), ``summary.json`` and the
            page; the same call continues what was interrupted. None: nothing is written.
        methods: Ids of the methods.
        layers: Layers of the artifact, each with each method; empty: its first.
        measures: Ids of the measures, or ``all``; empty: a choice that suits most.
        truth: Boxes or masks: COCO's JSON, a folder of VOC, YOLO or mask files.
        classes: Classes to explain; None: those of ``truth``, else the best-ranked.
        progress: Called with the number of photographs that are done and of all.
        **more: Further fields of `EvaluationSettings`: ``tuning={"steps": 64}``, ``options``,
            ``batch``, ``provider``, ``threads``, ``preprocess``.

    Raises:
        GraftcamError: As `Explainer`; also an InputError if a method, layer, class or measure is
            unknown or needs what is not there, an ImageError if there are no photographs.
    """
    folder, only = place_of([images] if isinstance(images, (str, Path)) else images)
    settings = EvaluationSettings(
        str(Path(model).resolve()), str(folder), str(Path(to).resolve()) if to else "",
        tuple(methods), tuple(layers), tuple(measures), None if truth is None else str(truth),
        None if classes is None else tuple(classes), only=only, **more,
    )  # fmt: skip
    worker = Evaluator(settings)
    if to is not None:
        found, _ = run_evaluation(worker, progress=progress)
        found.save(to)
        return found
    paths, _ = worker.find(Path(settings.output or "/nowhere"))
    rows: list[Mapping[str, Any]] = []
    for batch in batched(paths, settings.batch):
        rows += worker(batch)
        if progress:
            progress(len(rows), len(paths))
    return Evaluation(rows, settings)


def run_evaluation(
    worker: Evaluator,
    engine: Engine = local,
    *,
    retry: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Evaluation, Job]:
    """Score what has no row in the table yet, on any engine, and read the whole table.

    Raises:
        GraftcamError: As `jobs.run.run`.
    """
    done = do(worker, engine, retry=retry, progress=progress)
    with done.table.open("rb") as lines:
        rows = [json.loads(line) for line in lines]
    return Evaluation(rows, worker.settings), done


def place_of(images: Sequence[str | Path]) -> tuple[Path, tuple[str, ...]]:
    """Return the folder of photographs, and their names in it; none: the whole folder.

    Raises:
        ImageError: There are none, or one does not exist.
        InputError: A folder comes with others.
    """
    paths = [Path(one).absolute() for one in images]
    missing = [path for path in paths if not path.exists()]
    if not paths or missing:
        reason = f"no file or folder {missing[0]}" if missing else "no photographs are given"
        raise ImageError(f"{reason}; name a folder of them, or their files")
    if paths[0].is_dir() and len(paths) == 1:
        return paths[0].resolve(), ()
    if any(path.is_dir() for path in paths):
        raise InputError("a folder must be the only one of the photographs")
    resolved = [path.parent.resolve() / path.name for path in paths]
    folder = Path(*_common([path.parent.parts for path in resolved]))
    return folder, tuple(dict.fromkeys(path.relative_to(folder).as_posix() for path in resolved))


def _common(parts: Sequence[Sequence[str]]) -> list[str]:
    """Return the parts that all begin with."""
    found: list[str] = []
    for several in zip(*parts, strict=False):
        if len(set(several)) > 1:
            break
        found.append(several[0])
    return found
