"""`Window` shows frames on the screen through tkinter, which comes with most Pythons."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ..runtime.errors import RenderError

if TYPE_CHECKING:
    from ..runtime.inputs.image_files import Pixels

_LARGEST = 0.9  # of the screen


def why_no_window() -> str:
    """Say why there can be no window; empty: there can be one."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "there is no screen"
    try:
        import tkinter as tkinter
    except ImportError:
        return "this Python lacks tkinter (Debian, Ubuntu: apt install python3-tk)"
    return ""


class Window:
    """A window for frames; q, Esc or its close button end it.

    Attributes:
        closed: Whether the user has ended it.
    """

    def __init__(self, title: str) -> None:
        """Open the window.

        Raises:
            RenderError: There is no screen, or it cannot be reached.
        """
        reason = why_no_window()
        if reason:
            raise RenderError(f"cannot open a window: {reason}; write a file: -o out")
        import tkinter

        self._tkinter: Any = tkinter
        try:
            self._root: Any = tkinter.Tk(className="graftcam")
        except tkinter.TclError as error:
            raise RenderError(f"cannot open a window: {error}; write a file: -o out") from error
        self.closed = False
        self._title = title
        self._root.title(title)
        self._root.configure(background="black")
        self._label: Any = tkinter.Label(self._root, borderwidth=0, background="black")
        self._label.pack()
        for event in ("<q>", "<Q>", "<Escape>"):
            self._root.bind(event, self._end)
        self._root.protocol("WM_DELETE_WINDOW", self._end)
        self._photo: Any = None

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        if self._root is not None:
            self._root.destroy()
            self._root = None

    def _end(self, *_: object) -> None:
        self.closed = True

    def show(self, image: Pixels, state: str) -> bool:
        """Show a frame.

        Args:
            image: RGB uint8 [H, W, 3]; a larger one than the screen is shown smaller.
            state: What the title says beside the name.

        Returns:
            Whether the user still wants to see more.
        """
        if self.closed:
            return False
        import cv2

        height, width = image.shape[:2]
        room = self._root.winfo_screenheight(), self._root.winfo_screenwidth()
        scale = min(_LARGEST * room[0] / height, _LARGEST * room[1] / width, 1.0)
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # pyright: ignore[reportAssignmentType]
            height, width = image.shape[:2]
        data = b"P6 %d %d 255 " % (width, height) + image.tobytes()
        # Tk shows the image for as long as Python has a name for it.
        self._photo = self._tkinter.PhotoImage(data=data, format="PPM")
        self._label.configure(image=self._photo)
        self._root.title(f"{self._title}  {state}  (q ends)")
        self._root.update()
        return not self.closed
