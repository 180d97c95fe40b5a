"""Models of sounds and of sequences of tokens, as ONNX files."""

from __future__ import annotations

import numpy as np

from .inputs import ids, noise, voice
from .packages import Package
from .subject import Places, Subject, Truth

_SILERO = Package("silero-vad", "6.2.3")
_MOS = Package("speechmos", "0.0.1.1")
_TASHKEEL = Package("text2tashkeel", "0.1.0")
_CLASS_AXIS = (r"--class-axis",)
_SPECTROGRAM: tuple[Places, ...] = ((1, 2), (1,))
_FROM_SOUND: tuple[Places, ...] = ((1, None), (1,))
_RECURRENT = (
    r"\bIf\b", r"control flow", r"LSTM", r"recurrent", r"images of a batch depend on each other",
)  # fmt: skip
_STATEFUL = "speech or not of 32 ms, with the LSTM's state as a second input"
_QUANTISED = (r"DynamicQuantize", r"dynamically quantised", r"com\.microsoft")


def _silero(key: str, package: Package, file: str, why: str, output: str, *names: str) -> Subject:
    """A version of Silero's detector; its convolutions lie along the samples of one frame."""
    states = {"state": (2, 1, 128), "h": (1, 1, 128), "c": (1, 1, 128), "h2": (2, 1, 64),
              "c2": (2, 1, 64)}  # fmt: skip
    samples = 512 if key == "silero legacy" else 576

    def feeds() -> dict[str, object]:
        given: dict[str, object] = {"input": voice(samples)}
        for name in names:
            rate = name == "sr"
            given[name] = np.array(16000) if rate else np.zeros(states[name], np.float32)
        return given

    truth = Truth(why, (output,), (2,), "sigmoid", places=((1,),), refusals=_RECURRENT)
    return Subject(key, "speech in sound", package, file, truth, feeds, kinds=(4, 5, 8))


def _quality(key: str, file: str, why: str, classes: int, shape: tuple[int, ...]) -> Subject:
    """A network that gives speech a mark from 1 to 5, made with Keras."""
    raw = len(shape) == 1
    places = _FROM_SOUND if raw else _SPECTROGRAM
    return Subject(
        key, "marks of a listener", _MOS, f"speechmos/{file}",
        Truth(why, ("Identity:0",), (classes,), places=places),
        lambda: {"input_1": voice(shape[0]) if raw else noise(1, *shape)}, kinds=(4,),
    )  # fmt: skip


def _echo(key: str, file: str, width: int) -> Subject:
    """A network with a GRU that gives echo a mark."""
    return Subject(
        key, "marks of a listener", _MOS, f"speechmos/aecmos_models/{file}",
        Truth("[marks] without a batch: two marks of one sound; convolutions, then a GRU with its "
              "state as an input", ("output",), (2,), axis=0, places=((2, 3),),
              refusals=(r"GRU", r"recurrent", r"\[batch", r"no batch", r"declare", r"contradict")),
        lambda: {"input": noise(1, 3, 300, 160), "h0": np.zeros((4, 1, width), np.float32)},
        kinds=(4, 5, 8),
    )  # fmt: skip


SOUNDS = (
    Subject(
        "basic-pitch", "88 notes of music by frame (from Keras)", Package("basic-pitch", "0.4.0"),
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        Truth("[N, 172 frames, 88 or 264 pitches] after Sigmoid: frames are no classes",
              tuple(f"StatefulPartitionedCall:{n}" for n in (0, 1, 2)), (0, 88, 88),
              "sigmoid", axis=2, places=_FROM_SOUND, refusals=_CLASS_AXIS),
        lambda: {"serving_default_input_2:0": voice(43844, 22050)[..., None]}, kinds=(3, 4),
    ),
    _quality("dnsmos p.835", "dnsmos_models/sig_bak_ovr.onnx",
             "[N, 3]: marks of signal, background, whole; the spectrogram is in the graph", 3,
             (144160,)),
    _quality("dnsmos p.835, personal", "pdnsmos_models/sig_bak_ovr.onnx",
             "[N, 3]: marks of signal, background, whole; the spectrogram is in the graph", 3,
             (144160,)),
    _quality("dnsmos signal", "dnsmos_models/sig.onnx", "[N, 1]: one mark", 2, (901, 161)),
    _quality("dnsmos background", "dnsmos_models/bak_ovr.onnx", "[N, 3] marks", 3, (901, 161)),
    _quality("dnsmos p.808", "dnsmos_models/model_v8.onnx", "[N, 1]: one mark", 2, (900, 120)),
    _echo("aecmos 16 kHz", "Run_1663915512_Stage_0.onnx", 64),
    _echo("aecmos 48 kHz", "Run_1668423760_Stage_0.onnx", 96),
    Subject(
        "plcmos", "a listener's mark", _MOS, "speechmos/plcmos_models/plcmos_v2.onnx",
        Truth("a scalar without a batch, from two inputs", ("plcmos",), (2,), places=((2, 3),),
              refusals=(r"no output is a \[", r"scalar", r"no batch", r"GRU")),
        lambda: {"degraded_audio": noise(1, 1, 300, 257), "rater_embed": noise(1, 64)},
        kinds=(4, 5, 8),
    ),
    _silero("silero v6", _SILERO, "silero_vad/data/silero_vad.onnx",
            f"{_STATEFUL}; the whole network is inside an If", "output", "state", "sr"),
    _silero("silero v6, OpenVINO", _SILERO, "silero_vad/data/silero_vad_openvino_16k.onnx",
            f"{_STATEFUL}; all shapes fixed", "output", "state"),
    _silero("silero v6, sequence", _SILERO, "silero_vad/data/silero_vad_16k_sequence.onnx",
            "speech or not by frame, [frames]: the LSTM runs over the batch axis", "speech_probs",
            "h", "c"),
    _silero("silero v6, faster-whisper", Package("faster-whisper", "1.2.1"),
            "faster_whisper/assets/silero_vad_v6.onnx",
            "speech or not by frame, [frames]: the LSTM runs over the batch axis", "speech_probs",
            "h", "c"),
    _silero("silero legacy", Package("@ricky0123/vad-web", "0.0.31", npm=True),
            "package/dist/silero_vad_legacy.onnx",
            f"{_STATEFUL}; the whole network is inside an If", "output", "sr", "h2", "c2"),
)  # fmt: skip

TOKENS = (
    Subject(
        "magika", "214 kinds of files from their bytes", Package("magika", "1.0.3"),
        "magika/models/standard_v3_3/model.onnx",
        Truth("[N, 214] after Softmax; the input is int32 [N, 2048 bytes]", ("target_label",),
              (214,), places=((1,),), refusals=(
                  r"int32 .*(token|whole numbers|integer)", r"(token|integer) .*int32")),
        lambda: {"bytes": ids(1, 2048, high=256, kind=np.int32)}, kinds=(4,),
    ),
    Subject(
        "tashkeel bilstm", "15 vowel marks by letter (LSTM, int8)", _TASHKEEL,
        "text2tashkeel/models/bilstm.int8.onnx",
        Truth("[N, letters, 15] behind dynamically quantised LSTMs", ("logits",), (15,), axis=2,
              places=((1,),), refusals=(*_QUANTISED, *_CLASS_AXIS)),
        lambda: {"input_ids": ids(1, 24, high=40)}, kinds=(3, 8, 10),
    ),
    Subject(
        "tashkeel ensemble", "vowel marks by letter (LSTMs, int8)", _TASHKEEL,
        "text2tashkeel/models/rawi_ensemble.int8.onnx",
        Truth("the only output is an ArgMax, whole numbers: there is no score",
              refusals=(r"float", r"ArgMax", r"int64")),
        lambda: {"input": ids(1, 24, high=40)}, kinds=(3, 10),
    ),
    Subject(
        "tashkeel rawi v3", "75 vowel marks by letter (LSTM, int8)", _TASHKEEL,
        "text2tashkeel/models/rawi_v3.int8.onnx",
        Truth("`value` [N, letters, 75] behind dynamically quantised LSTMs", ("value",), (75,),
              axis=2, places=((1,),), refusals=(*_QUANTISED, *_CLASS_AXIS)),
        lambda: {"input": ids(1, 24, high=40)}, kinds=(3, 8, 10),
    ),
)  # fmt: skip
