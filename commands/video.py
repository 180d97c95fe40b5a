"""`graftcam explain` on videos and cameras: frame after frame, in bounded memory."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..runtime.errors import InputError, RenderError
from ..runtime.exit_codes import ExitCode
from ..runtime.plain_text import plain, plain_lines
from .common import note, progress_bar, say, tell
from .opening import open_written
from .signals import Terminated
from .video_answers import Answers
from .video_options import VideoSettings, camera_of
from .video_places import places_of, stem_of, wants_files
from .window import Window, why_no_window

if TYPE_CHECKING:
    from ..runtime import Explainer, Explanation, Request
    from ..runtime.inputs.camera import Camera
    from ..runtime.inputs.image_files import Pixels
    from ..runtime.inputs.video import Frame, VideoFile
    from .drawing import Drawing

_BATCH = 4  # frames that are explained together
_CLIP = 5  # axes of a batch of clips


def explain_videos(
    explainer: Explainer, videos: Sequence[Path], request: Request, drawing: Drawing,
    target: Path | None, settings: VideoSettings, batch: int | None, *, as_json: bool,
    opened: bool,
) -> None:  # fmt: skip
    """Explain videos or a camera: write videos or frames, show a window, say what was seen.

    Args:
        explainer: The artifact.
        videos: Video files; or one camera's number.
        request: What to explain.
        drawing: How to draw; with a format that is given, each frame is a file.
        target: A folder, or with one video its file; None: only a window.
        settings: Which frames, and the window.
        batch: Frames that are explained together.
        as_json: Print JSON instead of lines.
        opened: Show what was written.
    """
    _check_input(explainer)
    if settings.smooth and explainer.spec.detector is not None:
        raise InputError(
            f"{explainer.path.name} is a detector, whose boxes come and go; leave --smooth out"
        )
    shown = _wants_window(videos, target, settings)
    places = places_of(videos, target)
    runs: list[_Run] = []
    code = ExitCode.DONE
    for path, place in zip(videos, places, strict=True):
        run = _Run(explainer, path, request, drawing, place, settings, batch or _BATCH)
        runs.append(run)
        ended = run.do(shown=shown)
        code = ExitCode.FAILED if run.reasons else code
        if ended is not None:
            code = ended
            break
    tell([run.to_dict() for run in runs], "\n".join(run.text() for run in runs), as_json=as_json)
    for reason in (reason for run in runs for reason in run.reasons):
        say(plain(f"failed: {reason}"), err=True)
    note(f"ran on {explainer.provider}")
    if opened:
        open_written([place for place in places if place is not None and place.exists()])
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        say("Interrupted; what was explained before is written", err=True)
    if code != ExitCode.DONE:
        raise click.exceptions.Exit(code)


class _Run:
    """One video's way, from its frames to what is written.

    Attributes:
        reasons: What went wrong on the way; the rest is there.
    """

    def __init__(
        self, explainer: Explainer, path: Path, request: Request, drawing: Drawing,
        place: Path | None, settings: VideoSettings, batch: int,
    ) -> None:  # fmt: skip
        from ..runtime.output.video_frame import Smoother

        self._explainer, self._path, self._request = explainer, path, request
        self._drawing, self._place, self._settings = drawing, place, settings
        self._batch, self._camera = batch, camera_of(path)
        self._smooth, self._answers = Smoother(settings.smooth or 0.0), Answers()
        self._fps, self._written = 0.0, 0
        self.reasons: list[str] = []

    def do(self, *, shown: bool) -> ExitCode | None:
        """Explain the frames; return the exit code if a signal ended it."""
        ended: ExitCode | None = None
        with self._opened() as frames, contextlib.ExitStack() as stack:
            self._fps = frames.fps / (self._settings.every or 1)
            write = self._writer(stack)
            window = stack.enter_context(Window(frames.name)) if shown else None
            bar = stack.enter_context(progress_bar(f"explaining {frames.name}"))
            begun = time.monotonic()
            bar(0, frames.total)
            try:
                with contextlib.closing(self._explained(frames)) as each:
                    for frame, found in each:
                        drawn = write(frame, found)
                        bar(self._answers.frames, frames.total)
                        rate = self._answers.frames / max(time.monotonic() - begun, 1e-3)
                        if window and not window.show(drawn(), f"{rate:.1f} frames a second"):
                            break
            except (KeyboardInterrupt, Terminated) as signal:
                # What was explained by now becomes a whole video.
                ended = getattr(signal, "code", ExitCode.INTERRUPTED)
            self._note(frames.broken)
        return ended

    def to_dict(self) -> dict[str, Any]:
        """Return what was done for JSON."""
        answers = self._answers
        return {
            "video": str(self._path), "frames": answers.frames, "failed": answers.failed,
            "seconds": round(answers.seconds, 3), "fps": self._fps, "reasons": self.reasons,
            "spans": [one.to_dict() for one in answers.spans], "spans_left_out": answers.left_out,
            "files": [] if self._place is None else [str(self._place)], "written": self._written,
        }  # fmt: skip

    def text(self) -> str:
        """Return what was done, for people."""
        answers = self._answers
        heading = f"{self._path}: {answers.frames} frames, {answers.seconds:.1f} s"
        lines = [heading, *answers.lines()]
        if self._place is not None:
            files = "" if self._is_video else f" ({self._written} files)"
            lines.append(f"  -> {self._place}{files}")
        return plain_lines(lines)

    def _opened(self) -> VideoFile | Camera:
        from ..runtime.inputs.camera import Camera
        from ..runtime.inputs.video import VideoFile

        settings, every = self._settings, self._settings.every or 1
        if self._camera is not None:
            if settings.start is not None:
                raise click.UsageError("--start is for video files; a camera starts now")
            return Camera(self._camera, every, settings.end)
        most = click.get_current_context().params["max_pixels"]
        return VideoFile(self._path, every, settings.start or 0.0, settings.end, most)

    def _explained(self, frames: VideoFile | Camera) -> Generator[tuple[Frame, Explanation]]:
        """Yield each frame with its explanation; one that fails is counted, the first is an error.

        Raises:
            GraftcamError: The first frame cannot be explained, or no frame can.
        """
        from ..runtime import Explanation

        waiting: deque[Frame] = deque()

        def images() -> Iterator[Pixels]:
            for frame in frames:
                waiting.append(frame)
                yield frame.image

        for found in self._results(images()):
            frame = waiting.popleft()
            if isinstance(found, Explanation):
                found = self._smooth(replace(found, name=self._name(frame)))
                self._answers.add(found, frame.seconds)
                yield frame, found
            elif not self._answers.frames:
                raise found.error
            else:
                self._answers.fail(found.error)

    def _results(self, images: Iterator[Pixels]) -> Iterator[Any]:
        if self._camera is None:
            request: Any = self._request
            return self._explainer.explain_many(images, batch=self._batch, readers=1, **request)
        # A batch of a camera's frames would be late.
        return (self._explainer.explain(image, **self._request) for image in images)

    def _name(self, frame: Frame) -> str:
        return f"{stem_of(self._path)}-{frame.number:06}"

    @property
    def _is_video(self) -> bool:
        return self._place is not None and not wants_files()

    def _writer(
        self, stack: contextlib.ExitStack
    ) -> Callable[[Frame, Explanation], Callable[[], Pixels]]:
        """Return a function that writes a frame, and returns what draws it for a window."""
        from functools import cache

        from ..runtime.output.video import ConstantRate, video_file
        from ..runtime.output.video_frame import draw_frame

        rate: ConstantRate | None = None
        place = self._place
        if place is not None and self._is_video:
            rate = ConstantRate(stack.enter_context(video_file(place, self._fps)), self._fps)
            stack.callback(rate.close)

        def write(frame: Frame, found: Explanation) -> Callable[[], Pixels]:
            @cache
            def drawn() -> Pixels:
                return draw_frame(found, self._drawing.look, beside=self._drawing.panel)

            if rate is not None:
                rate.add(drawn(), frame.seconds)
                self._written += 1
            elif place is not None:
                for files in self._drawing.write([found], place):
                    self._written += len(files)
            return drawn

        return write

    def _note(self, broken: str) -> None:
        answers = self._answers
        if broken:
            self.reasons.append(broken)
        if answers.failed:
            count = f"{answers.failed} frame{'s' * (answers.failed != 1)}"
            self.reasons.append(f"{self._path}: {count} could not be explained: {answers.reason}")


def _check_input(explainer: Explainer) -> None:
    """Refuse a model of whole clips, whose frames are no examples.

    Raises:
        InputError: It is one.
    """
    port = next(iter(explainer.inputs), None)
    if explainer.spec.preprocess is None and port is not None and len(port.shape) == _CLIP:
        extents = ", ".join("?" if one is None else str(one) for one in port.shape)
        raise InputError(
            f"{explainer.path.name} takes whole clips, [{extents}], no single frames; give a clip "
            "as an array (.npy)"
        )


def _wants_window(videos: Sequence[Path], target: Path | None, settings: VideoSettings) -> bool:
    """Decide whether there is a window.

    Raises:
        RenderError: There can be none, and nothing else was asked for.
        click.UsageError: Nothing was asked for.
    """
    if settings.window is False:
        if target is None:
            raise click.UsageError("--no-window leaves nothing to do; write a file: -o out")
        return False
    camera = camera_of(videos[0]) is not None
    if settings.window is None and target is not None and not camera:
        return False
    reason = why_no_window()
    if reason and (settings.window or target is None):
        raise RenderError(f"cannot open a window: {reason}; write a file: -o out")
    return not reason
