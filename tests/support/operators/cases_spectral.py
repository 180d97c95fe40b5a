"""Fourier transforms and the determinant."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from support.operators.harness import Case, weights

# ONNX Runtime's transforms and a transform more make errors of some 1e-6.
FLOAT32 = 1e-4


def _complex(x: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(x.contiguous()) if x.shape[-1] == 2 else x[..., 0] + 0j


def _dft(x: torch.Tensor, axis: int, length: int | None, inverse: bool, half: bool) -> torch.Tensor:
    axis %= x.dim()
    if half and inverse:
        return torch.fft.irfft(_complex(x), length, axis)[..., None]
    if half:
        return torch.view_as_real(torch.fft.rfft(x[..., 0], length, axis).resolve_conj())
    turn = torch.fft.ifft if inverse else torch.fft.fft
    return torch.view_as_real(turn(_complex(x), length, axis).resolve_conj())


def _fourier(
    shape: tuple[int | str, ...], axis: int, length: int | None = None, inverse: int = 0,
    half: int = 0, opset: int = 20,
) -> Case:  # fmt: skip
    constants: dict[str, Any] = {} if length is None else {"n": np.array(length)}
    given, flags = "" if length is None else "n", f"inverse={inverse}, onesided={half}"
    if opset < 20:
        body = f"y = DFT<{flags}, axis={axis}>(x, {given})"
    else:
        body, constants["a"] = f"y = DFT<{flags}>(x, {given}, a)", np.array(axis)
    return Case(
        f"dft of {list(shape)}, axis {axis}, length {length}, inverse {inverse}, half {half}, "
        f"opset {opset}",
        body, {"x": shape}, lambda x: _dft(x, axis, length, bool(inverse), bool(half)), constants,
        opset=opset, float32=FLOAT32,
    )  # fmt: skip


def _stft(
    name: str, shape: tuple[int | str, ...], step: int, length: int, half: int = 1,
    window: bool = True,
) -> Case:  # fmt: skip
    taper = weights(length, low=0.1, high=1.0)

    def twin(x: torch.Tensor) -> torch.Tensor:
        frames = x.unfold(1, length, step).movedim(-1, -2)  # [N, frames, length, numbers]
        if window:
            frames = frames * torch.tensor(taper.astype(np.float32).astype(np.float64))[:, None]
        return _dft(frames, 2, None, False, bool(half))

    constants: dict[str, Any] = {"s": np.array(step)}
    constants |= {"w": taper} if window else {"l": np.array(length)}
    return Case(
        f"stft, {name}", f"y = STFT<onesided={half}>(x, s, {'w' if window else ', l'})",
        {"x": shape}, twin, constants, float32=FLOAT32,
        reference="none", remark="the reference evaluator computes in float32",
    )  # fmt: skip


DFTS = [
    *(
        _fourier(shape, axis, length, inverse, half, opset)
        for opset in (19, 20)  # the axis is an attribute, then an input
        for shape, axis, length, inverse, half in (
            (("N", 5, 3, 1), 1, None, 0, 0),
            (("N", 4, 3, 2), 1, None, 0, 0),
            (("N", 4, 3, 2), -2, None, 1, 0),
            (("N", 3, 5, 1), 2, None, 1, 0),
            (("N", 5, 3, 1), 1, None, 0, 1),
            (("N", 4, 3, 1), 1, None, 0, 1),
            (("N", 4, 2), 1, 6, 0, 0),
            (("N", 6, 2), 1, 4, 1, 0),
            (("N", 5, 1), 1, 8, 0, 1),
            (("N", 6, 1), 1, 3, 0, 1),
        )
    ),
    *(
        _fourier(shape, axis, length, 1, 1)
        for shape, axis, length in (
            (("N", 4, 3, 2), 1, None),
            (("N", 3, 2), 1, 4),
            (("N", 3, 2), 1, 5),
            (("N", 4, 2), 1, 4),
            (("N", 3, 2), -2, 8),
        )
    ),
]
STFTS = [
    _stft("a window", ("N", 16, 1), 4, 8),
    _stft("samples left over", ("N", 18, 1), 5, 7),
    _stft("whole spectra", ("N", 12, 1), 3, 6, 0),
    _stft("complex", ("N", 12, 2), 3, 6, 0),
    _stft("no window", ("N", 12, 1), 4, 4, 1, window=False),
]
SINGULAR = np.array([[1.0, 2, 3], [2, 4, 6], [1, 0, 1]])
DETS = [
    *(
        Case(f"determinant of {list(shape)}", "y = Det(x)", {"x": shape}, torch.linalg.det)
        for shape in (("N", 3, 3), ("N", 1, 1), ("N", 2, 2, 2), (4, 4))
    ),
    Case("determinant of a singular matrix", "y = Det(x)", {"x": SINGULAR}),
]
CASES = [*DFTS, *STFTS, *DETS]
