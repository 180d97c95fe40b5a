"""What an export was asked for: everything but the model that decides the artifact's bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...runtime.inputs.bank import Bank
from ...runtime.inputs.preprocess_words import Unsized
from ...runtime.settings import Score, Settings
from ...runtime.spec import Preprocess, Spec
from ..graph.profiles import ProfileName


@dataclass(frozen=True)
class ExportSettings(Settings):
    """The arguments of `export` that decide the artifact's bytes; see there.

    The metadata holds labels, preprocessing, profile and name in fields of their own, and the rest
    as its `settings`. A bank of texts is a constant of the graph.
    """

    score: Score = field(default_factory=Score)
    extras: Sequence[str] = ()
    labels: Sequence[str] | Mapping[str, Sequence[str]] | None = None
    preprocess: Preprocess | Unsized | None = None
    profile: ProfileName = "default"
    name: str | None = None
    bank: Bank | None = None

    def labels_of(self) -> list[Sequence[str] | None]:
        """The class names of each scored output, in their order."""
        given = self.labels
        if isinstance(given, Mapping):
            return [None if name is None else given.get(name) for name in self.score.outputs]
        return [given, *[None] * (len(self.score.outputs) - 1)]

    def record(self) -> Settings:
        """What the metadata holds nowhere else."""
        embedded = self.preprocess is not None and "embed_preprocess" in self.extras
        image_input = self.preprocess.input if embedded and self.preprocess else ""
        return Settings(
            self.score, self.extras, self.layers, self.trace, image_input or None, self.shapes,
            self.detector, self.context,
        )  # fmt: skip

    @staticmethod
    def of_spec(spec: Spec, bank: Bank | None = None) -> ExportSettings | None:
        """What an artifact was made with; None for one that does not record it.

        Args:
            spec: Its metadata.
            bank: The bank in its graph.
        """
        if spec.settings is None:
            return None
        transform, labels = spec.preprocess, spec.labels
        if spec.outputs is not None:
            known = {one.score.output: one.labels for one in spec.outputs if one.labels}
            labels = known or None
        if transform is not None and transform.embedded:
            given = spec.settings.image_input or ""
            transform = replace(transform, input=given, embedded=None)
        return ExportSettings(
            spec.settings.score,
            spec.settings.extras,
            spec.settings.layers,
            spec.settings.trace,
            shapes=spec.settings.shapes,
            detector=spec.settings.detector,
            context=spec.settings.context,
            labels=labels,
            preprocess=transform,
            profile=spec.profile or "default",
            name=spec.source.get("name"),
            bank=bank,
        )
