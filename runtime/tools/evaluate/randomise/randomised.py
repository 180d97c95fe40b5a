"""`Randomised` opens an artifact's model with more and more of its weights shuffled.

This is the cascading randomisation of Adebayo et al. (2018, "Sanity Checks for Saliency Maps",
arXiv:1810.03292), from the score down to the input, with shuffled weights in place of newly drawn
ones: their distribution stays. Gradients in the artifact are those of the shuffled model, because
they are computed from the same weights.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ....checks import check_value
from ....errors import InputError
from ....session.heads import Heads
from ....session.optimized_for import read_target
from ....session.session import Session
from ....spec import Spec
from .onnx_graph import OnnxGraph
from .shuffle import write_shuffled
from .weights import Weights, find_weights


class Randomised:
    """An artifact in stages: in each the weights nearest to the score are shuffled, at last all.

    Batch norms, biases and other constants of one axis stay, and so does what `Weights.left_out`
    names. Sessions are opened at first use and kept; a copy of the file exists in a temporary
    folder while one is opened.

    Attributes:
        weights: The weights.
        counts: How many of them are shuffled in each stage; different numbers, of few weights fewer
            than were asked for.
    """

    def __init__(
        self,
        path: Path,
        spec: Spec,
        open_session: Callable[[Path], Session],
        stages: int = 4,
        seed: int = 0,
        head: Path | None = None,
    ) -> None:
        """Find the weights; nothing is opened yet.

        Args:
            path: The artifact.
            spec: Its metadata, or those with which its images are to be read.
            open_session: Opens a file. It must not compare digests, which the shuffled files no
                longer have.
            stages: Number of stages.
            seed: Of the order of the shuffled weights; 0 or more.
            head: A head's file; None: the file beside the artifact that the metadata name.

        Raises:
            InputError: The artifact has no weights, is a form for one machine, or its gradients do
                not use the model's weights.
            SessionError: It cannot be read.
        """
        check_value("stages", stages, int, least=1)
        check_value("seed", seed, int, least=0)
        graph = OnnxGraph(path)
        if read_target(path) is not None:
            raise InputError(
                f"{path.name} is the form that `graftcam optimize` saved, whose gradients have "
                "weights of their own; use the original artifact"
            )
        self.weights: Weights = find_weights(graph, _scores_of(spec))
        total = len(self.weights.found)
        if not total:
            raise InputError(
                f"{path.name} has no weights that can be shuffled: no product takes a constant"
            )
        self.counts = sorted({-(-total * (n + 1) // stages) for n in range(stages)})
        self._graph, self._spec, self._open, self._seed = graph, spec, open_session, seed
        self._given = head
        self._sessions: dict[int, Session] = {}
        self._heads: dict[int, Heads] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="graftcam-", ignore_cleanup_errors=True)

    @property
    def sessions(self) -> list[Session]:
        """The artifact in all stages."""
        return [self.session(stage) for stage in range(len(self.counts))]

    def session(self, stage: int) -> Session:
        """Return the artifact in a stage, counted from 0.

        Raises:
            SessionError: The copy cannot be written or opened.
        """
        if stage not in self._sessions:
            session = self._opened(self._graph, stage)
            session.spec = self._spec
            self._sessions[stage] = session
        return self._sessions[stage]

    def heads(self, stage: int) -> Heads:
        """Return the heads of the artifact in a stage; they are opened at first use.

        `Heads.of` also raises an InputError for a head with other weights than the artifact, as a
        copy in fewer bits has one.
        """
        if stage not in self._heads:

            def open_head(path: Path) -> Session:
                graph = OnnxGraph(path)
                session = self._opened(graph, stage)
                self._check_head(graph, session.spec)
                return session

            self._heads[stage] = Heads(self._graph.path, self._spec, open_head, self._given)
        return self._heads[stage]

    def close(self) -> None:
        """Delete what is left of the temporary files, and forget the sessions."""
        self._sessions.clear()
        self._heads.clear()
        self._folder.cleanup()

    def __enter__(self) -> Randomised:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def _opened(self, graph: OnnxGraph, stage: int) -> Session:
        """Open a copy of a file in which the weights of a stage are shuffled."""
        contents = self.weights.top(self.counts[stage])
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        try:
            return self._open(write_shuffled(graph, contents, self._seed, folder))
        finally:
            # Windows keeps weights beside the model that the session has mapped; `close` deletes
            # them later.
            shutil.rmtree(folder, ignore_errors=True)

    def _check_head(self, graph: OnnxGraph, spec: Spec) -> None:
        own = find_weights(graph, _scores_of(spec)).found.keys()
        if own - self.weights.found.keys():
            raise InputError(
                f"{graph.path.name} has other weights than {self._graph.path.name}, so both cannot "
                "be shuffled alike; use the artifact that it was exported with"
            )


def _scores_of(spec: Spec) -> set[str]:
    """Names of the values that an artifact explains."""
    return {one.score.value for one in spec.by_output()}
