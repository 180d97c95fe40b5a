"""Any model as one flat ONNX graph, with its target layers: named by the user or chosen here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import onnx_ir as ir

from ...runtime.settings import Score, TorchExport
from ..errors import CaptureError, LayerError, errors_of_model
from ..graph.emitter import dims_of
from ..graph.integer_arithmetic import describe
from ..locate.candidate import Candidate, shared
from ..locate.layer import find_layer
from ..locate.onnx_candidates import graph_candidates
from ..locate.score import Located, channel_score, find_score
from ..locate.score_rules import check_flat
from ..source.labels import own_labels
from ..source.settings import ExportSettings
from ..source.torch_module import module_of
from .layouts import choose_shown, settle_layouts
from .onnx_file import Captured, capture_file
from .similarity import with_own_sigmoid, with_similarity
from .torchscript import file_of_script

_NESTED = ("If", "Loop", "Scan")

if TYPE_CHECKING:
    import torch
    from torch.export import ExportedProgram

    from ..source.torch_inputs import ModuleInputs
    from .programs import Programs

    Model = torch.nn.Module | ExportedProgram | str | Path


Shapes: TypeAlias = Mapping[str, Sequence[int | None]]


def capture(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    settings: ExportSettings,
    progress: Callable[[str], None],
    programs: Programs | None = None,
) -> tuple[Captured, list[Candidate]]:
    """Capture the model; for ``programs`` see `capture_module`.

    Returns:
        The graph, and the layers that were considered, the best first, where the automatic choice
        was made here; in an ONNX graph `choose_layer` makes it, once the score is known.

    Raises:
        CaptureError: It cannot be captured, or as an ONNX file it is given what only PyTorch needs.
        LayerError: A layer is unknown, or none can be chosen.
    """
    wanted = list(settings.layers or [])
    if isinstance(model, (str, Path)):
        progress("capture")
        file = _of_file(Path(model), example_inputs, wanted, settings.trace, settings.shapes)
        return file, []
    if settings.shapes:
        raise CaptureError(
            "shapes fix open axes of an ONNX file; a PyTorch model has those of its example_inputs"
        )
    module, inputs = module_of(model, example_inputs)
    trace, candidates = settings.trace or TorchExport(), list[Candidate]()
    if not wanted:
        progress("locate")
        candidates, _ = _scan(module, inputs, _scores_of(settings), trace.output_names)
        wanted = [best_of(candidates).name]
    from .torch_export import capture_module

    progress("capture")
    return capture_module(module, inputs, wanted, trace, programs), candidates


def _scan(
    module: torch.nn.Module, inputs: ModuleInputs, scores: Sequence[tuple[Score, int | None]],
    names: Sequence[str] | None,
) -> tuple[list[Candidate], str]:  # fmt: skip
    """List the layers that lead to each score, with its number of labels, and say what is scored.

    Raises:
        ScoreError: An output cannot be scored, or not together with others.
    """
    from ..locate.torch_candidates import scan

    flat = len(scores) > 1
    each = [
        scan(module, inputs, one, labels=labels, names=names, flat=flat) for one, labels in scores
    ]
    reasons = "; ".join(reason for _, reason in each)
    return shared([one.outputs[0] for one, _ in scores], [found for found, _ in each]), reasons


def _of_file(
    path: Path,
    examples: Sequence[Any] | Mapping[str, Any] | None,
    layers: Sequence[str] = (),
    trace: TorchExport | None = None,
    shapes: Shapes | None = None,
) -> Captured:
    """Read an ONNX file, and refuse what it cannot follow."""
    if not path.is_file():
        raise CaptureError(
            f"no ONNX file {path}; give an nn.Module, an ExportedProgram or the path of an ONNX "
            "file (names such as torchvision:resnet50 are for the command line)"
        )
    if path.suffix == ".pt2":
        raise CaptureError(f"{path.name} is no ONNX file; give torch.export.load({str(path)!r})")
    if trace is not None:
        raise CaptureError(
            f"{path.name} keeps its opset, axes and names: leave trace out (--opset, "
            "--dynamic-batch, --dynamic-size, --input-name, --output-name), or export the PyTorch "
            "model; shapes (--shape) fix open axes"
        )
    captured = capture_file(path, layers, shapes)
    if examples is not None and len(examples):
        raise CaptureError(f"{path.name} says itself what it takes; leave example_inputs out")
    return captured


def locate_scores(captured: Captured, settings: ExportSettings) -> list[Located]:
    """Find the scores of each named output; the number of labels tells outputs apart.

    Raises:
        ScoreError: No output, or no layer, has them.
    """
    if settings.score.kind == "channel":
        layer, value = next(iter(captured.targets.items()))
        return [channel_score(layer, value, captured.arranged[layer])]
    graph = captured.model.graph
    found = [find_score(graph, score, labels) for score, labels in _scores_of(settings)]
    if settings.score.kind == "similarity":
        return [with_similarity(one, captured.module, settings) for one in found]
    return [with_own_sigmoid(one, captured.module, settings) for one in found]


def with_own_labels(
    settings: ExportSettings, captured: Captured, located: Sequence[Located]
) -> ExportSettings:
    """The settings with the class names that a module carries, if it has them; with a note."""
    score = located[0].score
    if len(located) > 1 or score.kind in ("linear", "channel"):
        return settings
    names = own_labels(captured.module, score.classes)
    if names is None:
        return settings
    captured.notes.append("the class names are the model's own, of its config.id2label")
    return replace(settings, labels=names)


def _scores_of(settings: ExportSettings) -> list[tuple[Score, int | None]]:
    """The score of each named output, with its number of labels, if there are any."""
    named = settings.score.kind != "similarity"  # the labels are those of the bank's texts
    counts = ((named and len(labels or ())) or None for labels in settings.labels_of())
    return list(zip(settings.score.by_output(), counts, strict=True))


def choose_layer(captured: Captured, located: Sequence[Located]) -> list[Candidate]:
    """Choose the target layer of an ONNX graph, and return the layers considered.

    Raises:
        LayerError: None can be chosen.
    """
    graph = captured.model.graph
    candidates = choose_shown(captured, _graph_candidates(graph, located))
    integers = describe(graph, ", and no layer with floats before the score")
    if integers is not None and not any(one.usable for one in candidates):
        raise LayerError(integers, candidates)
    best = best_of(candidates, graph).name
    captured.targets[best] = find_layer(graph, best)
    settle_layouts(captured)
    return candidates


def _graph_candidates(graph: ir.Graph, located: Sequence[Located]) -> list[Candidate]:
    """Layers of a graph that lead to all scores, the automatic choice first.

    Raises:
        ScoreError: Several outputs cannot be explained together.
    """
    for one in located if len(located) > 1 else ():
        check_flat(one.score.output, dims_of(one.value))
    names = [one.score.output for one in located]
    return shared(names, [graph_candidates(graph, one.value) for one in located])


def best_of(candidates: Sequence[Candidate], graph: ir.Graph | None = None) -> Candidate:
    """The automatic choice.

    Raises:
        LayerError: No layer is usable; the message counts the reasons.
    """
    if candidates and candidates[0].usable:
        return candidates[0]
    reasons = Counter(candidate.reason for candidate in candidates)
    last = {candidate.reason: candidate.name for candidate in reversed(candidates)}
    seen = [f"{last[reason]}{_more(n)}: {reason}" for reason, n in reasons.most_common(4)]
    inside = next((node for node in graph or () if node.op_type in _NESTED), None)
    if inside is not None:
        seen.append(f"{inside.op_type} {inside.name!r} hides what it runs")
    raise LayerError(
        f"no layer can be chosen automatically ({'; '.join(seen) or 'none found'}); name one with "
        "`layers`",
        candidates,
    )


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def reasons_for(
    captured: Captured, candidates: Sequence[Candidate], *, automatic: bool = False
) -> dict[str, str]:
    """Why each target layer is one; ``automatic``: those of a detector's levels."""
    if automatic or captured.levels:
        return dict.fromkeys(captured.targets, "automatic: a level of the detector")
    if not candidates:
        return dict.fromkeys(captured.targets, "named by the user")
    usable = sum(one.usable for one in candidates)
    reason = f"automatic: last of {usable} usable layers: {candidates[0].reason}"
    return dict.fromkeys(captured.targets, reason)


def candidates_of(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    output: str | Sequence[str] | None = None,
    class_axis: int | None = None,
    class_offset: int | None = None,
    shapes: Shapes | None = None,
) -> list[Candidate]:
    """List the layers of a model that can be explained, the automatic choice first.

    See `layers_and_score` for the arguments.
    """
    score = Score(output=output, class_axis=class_axis, class_offset=class_offset)
    return layers_and_score(model, example_inputs, score, shapes)[0]


def layers_and_score(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    score: Score,
    shapes: Shapes | None = None,
) -> tuple[list[Candidate], str]:
    """List the layers of a model as `candidates_of` does, and say what is scored and why.

    Args:
        model: As for `export`.
        example_inputs: Inputs of the module's ``forward``.
        score: What is scored.
        shapes: Extents of an ONNX file's open axes by input, as the settings have them.
    """
    with errors_of_model(model), file_of_script(model, example_inputs, None) as script:
        if script is not None:
            model, example_inputs = script, None
        if isinstance(model, (str, Path)):
            captured = _of_file(Path(model), example_inputs, shapes=shapes)
            graph = captured.model.graph
            located = [find_score(graph, one) for one in score.by_output()]
            found = choose_shown(captured, _graph_candidates(graph, located))
            return found, "; ".join(one.reason for one in located)
        module, inputs = module_of(model, example_inputs)
        return _scan(module, inputs, [(one, None) for one in score.by_output()], ())
