"""`Tuning` has the numbers of the measures, and `EvaluationSettings` describes an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...checks import check_keywords, check_value, types_of
from ...errors import InputError
from ...inputs.selection import check_name
from ...limits import MAX_PIXELS
from .measures.fill import FILLS


@dataclass(frozen=True)
class Tuning:
    """The numbers that measures depend on.

    Attributes:
        steps: Steps of insertion and deletion, each of the same number of pixels.
        insertion_fill: What stands where nothing is inserted yet: ``blur``, ``mean`` (the image's
            mean colour), ``zero`` (0 in the model's units) or ``inpaint``; see `fill`.
        deletion_fill: What stands where pixels are deleted, likewise.
        percentiles: The shares that ROAD removes, in percent.
        road_noise: Standard deviation of the noise on imputed pixels, as a share of the image's
            own.
        squares: Number of hidden squares of infidelity.
        radius: The noise of sensitivity, as a share of the image's range.
        noises: Number of noises that sensitivity tries.
        stages: Number of stages in which randomisation shuffles the weights.
        tolerance: Pixels around an object that count as hit in the pointing game.
        threshold: Share of a map's maximum above which a place counts for the IoU.
        seed: Of all that is random.
    """

    steps: int = 32
    insertion_fill: str = "blur"
    deletion_fill: str = "mean"
    percentiles: tuple[float, ...] = (20, 40, 60, 80)
    road_noise: float = 0.01
    squares: int = 64
    radius: float = 0.02
    noises: int = 8
    stages: int = 4
    tolerance: int = 0
    threshold: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError if a number is out of range."""
        hints = types_of(Tuning)
        for name, value in vars(self).items():
            if name != "percentiles":
                check_value(name, value, hints[name])
        for name, least in (
            ("steps", 2), ("squares", 2), ("noises", 1), ("stages", 1), ("tolerance", 0),
            ("seed", 0), ("road_noise", 0), ("radius", 0), ("threshold", 0),
        ):  # fmt: skip
            check_value(name, getattr(self, name), hints[name], least=least)
        for name in ("insertion_fill", "deletion_fill"):
            check_name(name, getattr(self, name), FILLS)
        shares = self.percentiles
        if not shares or any(not 0 < share < 100 for share in shares):
            raise InputError(f"percentiles={shares} is out of range; give shares such as 20, 40")
        if not 0 < self.threshold < 1:
            raise InputError(f"threshold={self.threshold} is out of range; give one such as 0.5")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Tuning:
        """Return the tuning with some numbers given by name.

        Raises:
            InputError: A name is unknown, or a value of another type or out of range.
        """
        try:
            check_keywords("an evaluation", given, types_of(cls), {})
        except TypeError as error:
            raise InputError(str(error)) from None
        fields = dict(given)
        shares = fields.get("percentiles")
        if shares is not None:
            listed = shares if isinstance(shares, (list, tuple)) else [shares]
            if any(isinstance(one, bool) or not isinstance(one, (int, float)) for one in listed):
                raise InputError(f"percentiles={shares!r}: give numbers such as 20, 40")
            fields["percentiles"] = tuple(listed)
        return cls(**fields)


@dataclass(frozen=True)
class EvaluationSettings:
    """An evaluation in plain values that can be sent to another process.

    Attributes:
        model: The artifact, an absolute path.
        images: The folder of photographs, an absolute path.
        output: The folder for the scores, an absolute path.
        methods: Ids of the methods.
        layers: Layers of the artifact; empty: its first.
        measures: Ids of the measures; see `measure.choose_measures`.
        truth: A file or folder with boxes or masks; None: there are none.
        classes: Classes that each photograph is explained for; None: those of ``truth``, else the
            best-ranked.
        output_name: Which of several outputs classes are of; None: the first.
        options: Options of methods, by name.
        tuning: Numbers of the measures, by name; see `Tuning`.
        batch: Number of photographs that are scored together.
        provider: ONNX Runtime's execution provider; None: the best one available.
        threads: Threads within one operator; None: ONNX Runtime's choice.
        max_pixels: Number of pixels that an image file may have.
        preprocess: The training transform in words; None: the one that the artifact stores.
        only: The photographs, relative to the folder; empty: all of it.
        inputs: Values of further inputs, the same for all photographs; files by absolute paths.
    """

    model: str
    images: str
    output: str
    methods: tuple[str, ...] = ("gradcam",)
    layers: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    truth: str | None = None
    classes: tuple[int | str, ...] | None = None
    output_name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tuning: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: int = 4
    provider: str | None = None
    threads: int | None = None
    max_pixels: int = MAX_PIXELS
    preprocess: str | None = None
    only: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def record(self, artifact: str) -> dict[str, Any]:
        """Return what all rows of one table have in common, as JSON.

        Provider and threads are left out: an evaluation may be finished on another machine.
        """
        left_out = ("model", "output", "provider", "threads", "max_pixels", "tuning")
        own = {name: value for name, value in asdict(self).items() if name not in left_out}
        return {"artifact": artifact, **own, "tuning": asdict(Tuning.of(self.tuning))}
