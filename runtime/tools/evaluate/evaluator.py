"""An `Evaluator` scores the maps of a batch of photographs and returns rows of the table."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import GraftcamError, InputError, TruthError
from ...explain.batches import MAX_BATCH, parts_of
from ...explain.placed import Placing
from ...explain.steps import Steps
from ...explain.stream import OF_ONE_EXAMPLE, failure_of
from ...explain.trial import try_methods
from ...inputs.batch import make_batch
from ...inputs.scores import probabilities, scores_of, table_of
from ...inputs.selection import check_name, choose_classes, choose_layers, choose_output
from ...methods.dispatch import share_options
from ...methods.method_io import MethodInput
from ...methods.table import ATTENTION_METHODS
from ...plain_text import plain, unicode_only
from ..jobs.find import find_images
from .candidates import candidates_of
from .explainers import Explainers
from .items import BEST, Item, Items
from .localise import localise
from .measure import ALL, MEASURES, Needs, choose_measures
from .randomise.randomised import Randomised
from .scores import Scored, score
from .settings import EvaluationSettings, Tuning
from .subjects import Subjects
from .table import ScoreRow
from .truth.read import read_annotations
from .truth.truth import Annotations

# What one photograph can cause. Other errors are of the model or the request, and stop everything.
OF_ONE_PHOTOGRAPH = (*OF_ONE_EXAMPLE, TruthError)


class Evaluator:
    """Scores batches of a folder's photographs.

    Attributes:
        settings: The evaluation.
        tuning: Numbers of the measures.
        drawn: The boxes or masks; None: there are none.
        measures: Ids of the measures, in the order of tables.
        provider: The execution provider in use.
        suffixes: Endings of the names of the files that can be scored.
        artifact: A digest of the model's metadata, which contains those of its graph and weights.
        row: The type of a row.
    """

    row = ScoreRow

    def __init__(self, settings: EvaluationSettings) -> None:
        """Open the artifact and check what is asked for.

        Raises:
            GraftcamError: As ``Explainer``; an InputError if a method, layer, class, option or
                measure is unknown, or the artifact cannot be evaluated.
        """
        self.settings, self.tuning = settings, Tuning.of(settings.tuning)
        steps = Steps(
            settings.model, settings.provider, settings.threads, None, None, check=False,
            max_pixels=settings.max_pixels, preprocess=settings.preprocess,
        )  # fmt: skip
        spec = steps.session.spec
        if spec.detector is not None or spec.class_index is None:
            what = "a detector's boxes" if spec.detector is not None else "a linear score"
            raise InputError(
                f"{steps.session.path.name} explains {what}, and an evaluation is about the scores "
                "of classes; export the model with a class score"
            )
        self.session = steps.session.about(choose_output(spec, settings.output_name))
        self._steps, spec = steps, self.session.spec
        layers = choose_layers(spec, list(settings.layers) or None)
        self._layers = {layer.name: layer for layer in layers}
        options = share_options(settings.methods, settings.options)
        self._explainers = Explainers(
            candidates_of(options, self._layers, set(ATTENTION_METHODS)), self._layers
        )
        classes = settings.classes
        ids = None if classes is None else choose_classes(spec, list(classes), 1)
        folder, truth = Path(settings.images), settings.truth
        self.drawn: Annotations | None = None if truth is None else read_annotations(
            Path(truth), spec.labels, spec.score.classes, folder, settings.max_pixels
        )  # fmt: skip
        self._items = Items(folder, steps.reader, ids, self.drawn, settings.inputs)
        self._placing = Placing(self.session, steps.reader.main)
        self._randomised: Randomised | None = None
        self._lock = threading.Lock()
        self.measures = choose_measures(settings.measures, self._found())
        blank = try_methods(
            self.session, steps.heads, steps.reader, self._explainers.trials(), settings.inputs
        )
        if blank is not None:
            Subjects(blank, 1)  # refuses what measures cannot change
        self.provider, self.suffixes = self.session.provider, steps.reader.suffixes
        self.artifact = hashlib.sha256(spec.to_json().encode()).hexdigest()

    def _found(self) -> list[Needs]:
        """What is there of what measures need."""
        asked = {*self.settings.measures}
        found: list[Needs] = []
        if self.drawn is not None:
            found.append("boxes")
            if self.drawn.has_masks:
                found.append("masks")
        of_weights = {name for name, one in MEASURES.items() if one.needs == "weights"}
        if not asked & {ALL, *of_weights}:
            return found
        try:
            self._randomised = Randomised(
                self._steps.session.path, self._steps.session.spec, self._steps.open_file,
                self.tuning.stages, self.tuning.seed,
            )  # fmt: skip
        except InputError:
            if asked & of_weights:
                raise
            return found
        return [*found, "weights"]

    def _shuffled(self, subjects: Subjects) -> Iterator[Subjects]:
        """Yield the photographs for the model with more and more shuffled weights."""
        found = self._randomised
        for stage in range(0 if found is None else len(found.counts)):
            assert found is not None
            with self._lock:
                session, heads = found.session(stage), found.heads(stage)
            yield subjects.on(session.about(self.session.spec.place), heads)

    def check_demands(self, demands: Iterable[str]) -> None:
        """Raise InputError for a demand on a measure that is unknown or not scored."""
        for name in demands:
            check_name("measure", name, MEASURES)
            if name not in self.measures:
                raise InputError(
                    f"'{name}' is demanded and not scored; add --measure {name}, or leave "
                    "the demand out"
                )

    def find(self, output: Path) -> tuple[list[str], int]:
        """Return the photographs to score, relative to the folder, and the number of other files.

        Raises:
            ImageError: There are none.
        """
        if self.settings.only:
            return sorted(self.settings.only), 0
        return find_images(Path(self.settings.images), output, self.suffixes)

    def __call__(self, paths: Sequence[str]) -> list[ScoreRow]:
        """Score the maps of some photographs; one that cannot be scored gets a row with the reason.

        Args:
            paths: Photographs, relative to the folder, with ``/``.

        Raises:
            GraftcamError: An error that no single photograph causes, such as a broken session.
        """
        found: dict[str, ScoreRow] = {}
        items: list[Item] = []
        for path in paths:
            try:
                items += self._items.of(path)
            except OF_ONE_PHOTOGRAPH as error:
                found[path] = self._failed(path, error)
        for item, record in self._scored(items):
            if isinstance(record, Exception):
                found[item.path] = self._failed(item.path, record)
            elif found.setdefault(item.path, _row(item))["status"] == "ok":
                found[item.path]["items"].append(record)
        return [found[path] for path in paths]

    def _scored(self, items: Sequence[Item]) -> Iterator[tuple[Item, dict[str, Any] | Exception]]:
        """Score items together; if that fails, one by one, so that only bad ones fail."""
        most = self.session.inputs[self._items.reader.main].shape[0] or MAX_BATCH
        for part in parts_of([item.example for item in items], most):
            some = items[part]
            try:
                yield from zip(some, self._score(some), strict=True)
            except OF_ONE_PHOTOGRAPH as error:
                if len(some) == 1:
                    yield some[0], error
                else:
                    for one in some:
                        yield from self._scored([one])

    def _score(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        """Score some photographs as one batch: a record for each."""
        spec, main = self.session.spec, self._items.reader.main
        examples = [item.example for item in items]
        feeds, _ = make_batch(
            self.session, main, examples, np.array([[BEST]], np.int64), [None] * len(items)
        )
        batch = MethodInput(
            self.session, feeds, main, next(iter(self._layers.values())), None, self._steps.heads
        )
        got, count = batch.fetch(batch.common_outputs), len(items)
        best = got[str(spec.classes)][:count, 0]
        numbers = [
            int(first) if item.number == BEST else item.number
            for item, first in zip(items, best, strict=True)
        ]
        subjects = Subjects(batch, count).with_classes(np.array(numbers, np.int64))
        self._check_places(subjects)
        output = got[spec.score.output][:count]
        maps = self._explainers.maps(subjects)
        scored = score(
            subjects, self._explainers, maps, self.measures, self.tuning,
            _least_likely(spec.score, output), partial(self._shuffled, subjects),
        )  # fmt: skip
        scored.add(localise(items, maps, self.measures, self.tuning), self.measures)
        return [
            self._record(number, output[row], scored, row) for row, number in enumerate(numbers)
        ]

    def _check_places(self, subjects: Subjects) -> None:
        """Refuse maps that do not lie over the photographs."""
        for candidate in self._explainers.candidates:
            if not candidate.is_row:
                layers = [self._layers[candidate.layer]] if candidate.layer else []
                over = self._placing.of(
                    candidate.method, layers or [*self._layers.values()], subjects.batch.feeds
                )
                if over != self._items.reader.main:
                    raise GraftcamError(
                        f"layer '{candidate.layer}' looks at the input '{over}', and photographs "
                        f"are those of '{self._items.reader.main}'; choose another layer"
                    )

    def _record(
        self, number: int, output: NDArray[Any], scored: Scored, row: int
    ) -> dict[str, Any]:
        spec = self.session.spec
        shares = probabilities(spec.score, output)
        share = None if shares is None or shares.ndim != 1 else float(shares[number])
        return {
            "class": number,
            "label": str(number) if spec.labels is None else spec.labels[number],
            "confidence": _number(scored.confidence[row]),
            "probability": None if share is None else _number(share),
            "maps": [
                {
                    "method": one.method,
                    "layer": one.layer,
                    "status": scored.status[place][row],
                    "scores": {
                        name: _number(values[place, row]) for name, values in scored.values.items()
                    },
                    "curves": {
                        name: [_number(value) for value in values[place, row]]
                        for name, values in scored.curves.items()
                    },
                }
                for place, one in enumerate(self._explainers.candidates)
            ],
        }

    def _failed(self, path: str, error: Exception) -> ScoreRow:
        reason = str(failure_of(path, error).error)
        # Without the folder's path, which is not a property of the photograph.
        reason = reason.replace(f"{plain(self.settings.images)}/", "")
        return ScoreRow(
            path=unicode_only(path), status="failed", error=reason, width=None, height=None,
            items=[],
        )  # fmt: skip


def _row(item: Item) -> ScoreRow:
    height, width = (None, None) if item.photo is None else item.photo.pixels.shape[:2]
    return ScoreRow(
        path=unicode_only(item.path), status="ok", error=None, width=width, height=height, items=[]
    )


def _least_likely(score_record: Any, output: NDArray[Any]) -> NDArray[np.int64]:
    """Return the id of the class with the lowest score of each photograph, [N]."""
    table = table_of(score_record, output)
    ids = np.broadcast_to(np.arange(table.shape[1]), table.shape[:2])
    return scores_of(table, ids).argmin(axis=1)


def _number(value: Any) -> float | None:
    """Return a number with five digits; None for one that is not finite."""
    return float(f"{value:.5g}") if np.isfinite(value) else None
