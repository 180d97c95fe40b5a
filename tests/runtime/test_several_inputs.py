"""Models that take more than a photograph: the other inputs come by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer, Failure
from graftcam.runtime.errors import GraftcamError, ImageError, InputError
from support.artifacts import preprocess, write_segmenter
from support.artifacts_nd import (
    EMBEDDING,
    write_nd,
    write_signal,
    write_two_images,
    write_volume,
    write_with_table,
)
from support.sound import sound

PHOTO = np.full((40, 60, 3), (255, 51, 0), np.uint8)
"""Red 1, green 0.2: the table's model gives 4 + a and 0.6 + b."""


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    path = tmp_path_factory.mktemp("model") / "table.onnx"
    return Explainer(write_with_table(path, preprocess()))


def scores(explainer: Explainer, *given: Any, **request: Any) -> list[float]:
    return explainer.explain(*given, classes=[0, 1], **request).scores.tolist()


@pytest.mark.parametrize(
    "table",
    [
        [1, 2],
        (1.0, 2.0),
        np.array([1, 2]),
        np.array([[1.0, 2.0]]),
        np.array([1, 2], np.uint8),
        np.array([1, 2], np.float64),
    ],
)
def test_a_table_is_given_beside_the_photograph(explainer: Explainer, table: Any) -> None:
    for found in (
        scores(explainer, PHOTO, inputs={"table": table}),
        scores(explainer, {"image": PHOTO, "table": table}),
    ):
        np.testing.assert_allclose(found, [5, 2.6], rtol=1e-6)


def test_files_hold_values_by_name(explainer: Explainer, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), PHOTO[:, :, ::-1])
    np.save(tmp_path / "table.npy", [1, 2])
    np.savez(tmp_path / "both.npz", image=PHOTO, table=[1, 2])
    np.savez(tmp_path / "rows.npz", old=[0, 0], new=[1, 2])
    for given, inputs in (
        (path, {"table": tmp_path / "table.npy"}),
        (str(path), {"table": f"{tmp_path}/rows.npz:new"}),
        (tmp_path / "both.npz", None),
    ):
        found = explainer.explain(given, [0, 1], inputs=inputs)
        np.testing.assert_allclose(found.scores, [5, 2.6], rtol=1e-6)
        assert found.name == Path(given).stem
        assert found.placement is not None
    with pytest.raises(InputError, match=r"rows.npz has the entries old, new; name one: .*npz:old"):
        explainer.explain(path, inputs={"table": tmp_path / "rows.npz"})
    with pytest.raises(InputError, match=r"entries old, new; .*rows.npz:old, or name them after"):
        explainer.explain(tmp_path / "rows.npz")


def test_a_batch_takes_a_row_for_each_or_one_for_all(explainer: Explainer) -> None:
    rows = np.array([[1, 2], [3, 4], [5, 6]])
    expected = [[5, 2.6], [7, 4.6], [9, 6.6]]
    for table in (rows, list(rows), rows.tolist()):
        found = explainer.explain([PHOTO] * 3, [0, 1], inputs={"table": table})
        np.testing.assert_allclose([one.scores for one in found], expected, rtol=1e-6)
    found = explainer.explain([PHOTO] * 3, [0, 1], inputs={"table": [1, 2]})
    np.testing.assert_allclose([one.scores for one in found], [[5, 2.6]] * 3, rtol=1e-6)
    found = explainer.explain([{"image": PHOTO, "table": row} for row in rows], [0, 1])
    np.testing.assert_allclose([one.scores for one in found], expected, rtol=1e-6)
    with pytest.raises(InputError, match="'table' has 3 rows for 2 examples; pass one for all"):
        explainer.explain([PHOTO] * 2, inputs={"table": rows})


def test_many_share_an_input_or_bring_their_own(explainer: Explainer) -> None:
    shared = explainer.explain_many([PHOTO] * 3, classes=[0, 1], inputs={"table": [1, 2]}, batch=2)
    for one in shared:
        assert not isinstance(one, Failure)
        np.testing.assert_allclose(one.scores, [5, 2.6], rtol=1e-6)
    own = [{"image": PHOTO, "table": [n, n]} for n in range(3)]
    found = list(
        explainer.explain_many([*own, PHOTO, {**own[0], "image": "none.png"}], classes=[0, 1])
    )
    for number, one in enumerate(found[:3]):
        assert not isinstance(one, Failure)
        np.testing.assert_allclose(one.scores, [4 + number, 0.6 + number], rtol=1e-6)
    first, second = found[3:]
    assert isinstance(first, Failure)
    assert "pass 'table' by name" in str(first.error)
    assert isinstance(second, Failure)
    assert "cannot read none.png" in str(second.error)


def test_many_are_refused_rows_that_belong_to_no_image(explainer: Explainer) -> None:
    with pytest.raises(InputError, match="'table' has 3 rows for 1 example; pass one for all"):
        explainer.explain_many([PHOTO] * 3, inputs={"table": np.zeros((3, 2))})


def test_examples_that_were_read_before_are_explained(explainer: Explainer, tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", image=PHOTO, table=[1, 2])
    (example,) = explainer.read_file(tmp_path / "both.npz")
    for found in (
        [explainer.explain(example, 0)],
        explainer.explain([example, example], 0),
        explainer.compare(example, ["gradcam"], classes=0),
        explainer.explain_many([example, example], classes=0),
    ):
        ones = [one for one in found if not isinstance(one, Failure)]
        assert [one.name for one in ones] == ["both", "both-2"][: len(ones)]
        assert [one.scores.tolist() for one in ones] == [pytest.approx([5])] * len(ones)
    with pytest.raises(InputError, match="'table' is given twice"):
        explainer.explain(example, inputs={"table": [1, 2]})


def test_compare_passes_the_inputs_on(explainer: Explainer) -> None:
    found = explainer.compare(PHOTO, ["gradcam", "hirescam"], classes=0, inputs={"table": [1, 2]})
    assert [one.scores.tolist() for one in found] == [pytest.approx([5])] * 2


def test_perturbations_repeat_the_other_inputs(explainer: Explainer) -> None:
    inputs = {"table": np.array([[1, 2], [3, 4]])}
    together = explainer.explain([PHOTO, PHOTO[::-1]], 0, method="scorecam", inputs=inputs)
    alone = explainer.explain(PHOTO[::-1], 0, method="scorecam", inputs={"table": [3, 4]})
    np.testing.assert_allclose(together[1].maps, alone.maps, rtol=1e-5)


TAKES = r"'image' float32 \[batch, 3, 32, 32\], 'table' float32 \[batch, 2\]"


@pytest.mark.parametrize(
    ("given", "inputs", "error", "message"),
    [
        (PHOTO, {}, InputError, rf"table.onnx takes {TAKES}; pass 'table' by name"),
        (PHOTO, {"tabel": [1]}, InputError, rf"has no input 'tabel'; it takes {TAKES}"),
        (PHOTO, {"table": [1, 2], "class_index": [[0]]}, InputError, "no input 'class_index'"),
        (PHOTO, {"table": [1, 2, 3]}, InputError, r"'table' is int64 \[3\], which does not fit"),
        (PHOTO, {"table": ["a", "b"]}, InputError, "'table' has 2 rows for 1 example;"),
        (PHOTO, {"table": np.array(["a", "b"])}, InputError, "'table' holds <U1; .* takes numbers"),
        (PHOTO, {"table": [1, np.nan]}, InputError, "'table' holds NaN at 1 places"),
        (PHOTO, {"table": [[1, 2], [3]]}, InputError, "lists of numbers that differ in length"),
        (PHOTO, {"table": 1e300}, InputError, r"'table' is float64 \[\], which does not fit"),
        (PHOTO, {"table": [1e300, 0]}, InputError, "from 0 to 1e.300, which does not fit the type"),
        (PHOTO, {"table": "photo.png"}, ImageError, r"takes no image \(photo.png\)"),
        (PHOTO, {"table": "none.npy"}, InputError, "cannot read none.npy"),
        (PHOTO, {"image": PHOTO, "table": [1, 2]}, InputError, "'image' is given twice"),
        ({"table": [1, 2]}, {}, InputError, "pass 'image' by name"),
        (PHOTO, [1, 2], InputError, "inputs=.*: give values by name"),
        (PHOTO / 255, {"table": [1, 2]}, ImageError, "has type float64; .*or pass a tensor: "),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_the_model_takes(
    explainer: Explainer, given: Any, inputs: Any, error: type[GraftcamError], message: str
) -> None:
    with pytest.raises(error, match=message):
        explainer.explain(given, inputs=inputs)


@pytest.mark.parametrize("looks_at", ["left", "right"])
def test_a_map_lies_over_the_image_that_its_layer_looks_at(tmp_path: Path, looks_at: str) -> None:
    path = write_two_images(tmp_path / "two.onnx", preprocess(input="left"), looks_at)
    explainer = Explainer(path)
    left, right = PHOTO.copy(), np.zeros((80, 50, 3), np.uint8)
    right[60:, :20] = 255
    found = explainer.explain(left, 0, inputs={"right": right})
    image = {"left": left, "right": right}[looks_at]
    assert found.input == looks_at
    np.testing.assert_array_equal(found.image, image)
    assert found.heatmaps.shape == (1, *image.shape[:2])
    over = explainer.explain(left, 0, inputs={"right": right}, over="left")
    assert over.input == "left"
    with pytest.raises(InputError, match=r"unknown input 'middle'.* there is left, right"):
        explainer.explain(left, 0, inputs={"right": right}, over="middle")


def test_both_images_go_through_the_stored_preprocessing(tmp_path: Path) -> None:
    explainer = Explainer(write_two_images(tmp_path / "two.onnx", preprocess(input="left")))
    right = np.full((70, 50, 3), (51, 102, 0), np.uint8)
    # Four times the redness of the right image, and the redness of the left one; likewise green.
    found = explainer.explain(PHOTO, [0, 1], inputs={"right": right})
    np.testing.assert_allclose(found.scores, [4 * 0.2 + 1, 3 * 0.4 + 0.2], rtol=1e-5)


def test_what_changes_the_first_image_fits_no_layer_of_the_second(tmp_path: Path) -> None:
    path = write_two_images(tmp_path / "two.onnx", preprocess(input="left"), "right")
    explainer, inputs = Explainer(path), {"right": PHOTO}
    with pytest.raises(InputError, match="'scorecam' changes the input 'left', but layer 'conv'"):
        explainer.explain(PHOTO, 0, inputs=inputs, method="scorecam")
    with pytest.raises(InputError, match="flips the input 'left', but the maps lie over 'right'"):
        explainer.explain(PHOTO, 0, inputs=inputs, augment="flip")
    # RISE makes maps of the first image, whatever the layer.
    assert explainer.explain(PHOTO, 0, inputs=inputs, method="rise").input == "left"


def test_pixels_of_one_colour_show_which_image_a_layer_looks_at(tmp_path: Path) -> None:
    ports = {"left": "uint8[N, 1, 8, 8]", "right": "uint8[N, 1, 8, 8]"}
    begin = "values = Cast <to = 1> (right)\n sums = Conv <strides = [4, 4]> (values, kernel)"
    explainer = Explainer(write_nd(tmp_path / "two.onnx", ports, rank=2, begin=begin))
    plain = np.full((8, 8), 7, np.uint8)
    assert explainer.explain({"left": plain, "right": plain}).input == "right"


def test_a_layer_that_no_change_shows_is_asked_again(tmp_path: Path) -> None:
    ports = {"first": "int64[N, T]", "second": "int64[N, T]"}
    begin = """embedded = Gather <axis = 0> (embedding, second)
        sums = Transpose <perm = [0, 2, 1]> (embedded)"""
    path = write_nd(
        tmp_path / "pair.onnx", ports, rank=1, begin=begin, weights=[[1.0, 0.0], [0.0, 1.0]],
        constants={"embedding": EMBEDDING},
    )  # fmt: skip
    same, different = {"first": [0, 1], "second": [2, 2]}, {"first": [0, 1], "second": [0, 1]}
    found = list(Explainer(path).explain_many([same, different], batch=1, classes=0))
    # Tokens that are the same in reverse order tell nothing; the map is empty anyway.
    assert [one.input for one in found if not isinstance(one, Failure)] == ["first", "second"]
    second = Explainer(path).explain_many([different, same], batch=1, classes=0)
    assert [one.input for one in second if not isinstance(one, Failure)] == ["second", "second"]


def test_an_input_without_a_batch_axis_is_shared(tmp_path: Path) -> None:
    ports = {"signal": "float[N, 1, L]", "scale": "float[2]"}
    path = write_nd(
        tmp_path / "scaled.onnx", ports, rank=1, logits="logits = Mul(plain, scale)"
    )  # fmt: skip
    explainer, signal = Explainer(path), np.ones(32)
    found = explainer.explain([signal] * 3, [0, 1], inputs={"scale": [2, 3]})
    np.testing.assert_allclose([one.scores for one in found], [[2, -3]] * 3)
    # Examples of different values run one after the other.
    examples = [{"signal": signal, "scale": [n, n]} for n in (1, 1, 5)]
    np.testing.assert_allclose([one.scores[0] for one in explainer.explain(examples, 0)], [1, 1, 5])
    with pytest.raises(InputError, match=r"'scale' is int64 \[1, 2\], which does not fit input"):
        explainer.explain(signal, inputs={"scale": [[2, 3]]})


def test_a_tensor_of_the_models_own_shape_needs_no_preprocessing(tmp_path: Path) -> None:
    bare = Explainer(write_signal(tmp_path / "signal.onnx"))
    signal = np.zeros(32)
    signal[8:12] = 1
    np.save(tmp_path / "beat.npy", signal)
    for given in (signal, signal[None], tmp_path / "beat.npy", signal.tolist(), signal > 0):
        found = bare.explain(given, 0)
        np.testing.assert_allclose(found.maps, [np.eye(8)[2] / 8], rtol=1e-6)
        assert (found.input, found.placement) == ("signal", None)
    batch = bare.explain(np.stack([signal, signal[::-1]])[:, None], 0)
    assert [one.maps[0].argmax() for one in batch] == [2, 5]
    assert [one.name for one in batch] == ["input", "input-2"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((1, 0)), r"'signal' has shape \[1, 0\]: it is empty"),
        (None, "'signal' is a NoneType; pass numbers, an array or its file"),
        ({"signal": object()}, "'signal' is a object; pass numbers"),
        (3, r"'signal' is int64 \[\], which does not fit"),
        ({1: 2}, "has no input 1; it takes 'signal'"),
        ({}, "pass 'signal' by name"),
        ([np.zeros(32), None], "'signal' is a NoneType"),
        (np.zeros(32, "datetime64[s]"), "holds datetime64"),
    ],
)
def test_what_is_no_signal_is_refused(tmp_path: Path, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Explainer(write_signal(tmp_path / "signal.onnx")).explain(given)


def test_texts_of_tokens_are_for_tokens(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lie over 'signal', which takes no token ids"):
        Explainer(write_signal(tmp_path / "signal.onnx")).explain(np.ones(32), tokens=["a"])


def test_signals_of_different_lengths_run_one_after_the_other(tmp_path: Path) -> None:
    bare = Explainer(write_signal(tmp_path / "signal.onnx"))
    found = bare.explain([np.ones(32), np.ones(64), np.ones(64), np.ones(32)], 0)
    assert [one.heatmaps.shape for one in found] == [(1, 32), (1, 64), (1, 64), (1, 32)]


def test_a_tensor_for_a_model_of_photographs_is_shown_as_the_photograph(artifact: Path) -> None:
    found = Explainer(artifact).explain(
        np.moveaxis(PHOTO[:32, :32] / 255, -1, 0).astype(np.float32), "red"
    )
    assert found.heatmaps.shape == (1, 32, 32)
    assert set(map(tuple, found.image.reshape(-1, 3).tolist())) == {(255, 51, 0)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((12, 16, 8)), r"float64 \[12, 16, 8\], which does not fit input 'volume'"),
        (np.zeros((16, 12, 8)), r"its axes fit in reverse order: pass array.T"),
        (np.zeros((1, 16, 12, 8)), r"the batch axis may be left out"),
        (np.zeros((8, 12, 16), complex), "holds complex128"),
        (np.full((8, 12, 16), np.nan), "holds NaN at 1536 places"),
        (np.zeros((8, 12, 16), "U1"), "holds <U1"),
    ],
)  # fmt: skip
def test_a_wrong_tensor_is_refused_with_what_was_seen(
    tmp_path: Path, value: np.ndarray, message: str
) -> None:
    explainer = Explainer(write_volume(tmp_path / "volume.onnx"))
    with pytest.raises(InputError, match=message):
        explainer.explain(value)


def test_a_sound_of_two_channels_is_no_batch_of_two(tmp_path: Path) -> None:
    path = write_nd(
        tmp_path / "mono.onnx", {"sound": "float[N, L]"}, rank=1,
        begin="""row = Unsqueeze(sound, i1)
        sums = Conv <strides = [4]> (row, kernel)""",
    )  # fmt: skip
    explainer = Explainer(path)
    sound(tmp_path / "mono.wav", 16, samples=np.ones((1, 32)) / 2)
    (one,) = explainer.read_file(tmp_path / "mono.wav")
    assert explainer.explain(one, 0).to_dict()["step"] == 1 / 8000
    sound(tmp_path / "stereo.wav", 16, samples=np.ones((2, 32)) / 2)
    for read in (explainer.read_file, explainer.explain):
        message = (
            r"stereo.wav is float32 \[2, 32\] \(2 channels of 32 samples, 8000 Hz\), which does"
        )
        with pytest.raises(InputError, match=message):
            read(tmp_path / "stereo.wav")


def test_rows_of_a_file_are_examples(tmp_path: Path) -> None:
    bare = Explainer(write_signal(tmp_path / "signal.onnx"))
    np.save(tmp_path / "many.npy", np.random.default_rng(0).random((3, 1, 32)))
    with pytest.raises(InputError, match=r"many.npy is .*: 3 rows of input 'signal'.*one of them"):
        bare.explain(tmp_path / "many.npy")
    examples = bare.read_file(tmp_path / "many.npy")
    assert [one.name for one in examples] == ["many", "many-2", "many-3"]
    assert len(bare.explain(examples)) == 3


def test_the_methods_know_the_channels_of_a_signal(tmp_path: Path) -> None:
    bare = Explainer(write_signal(tmp_path / "signal.onnx", channels=2))
    signal = np.random.default_rng(0).random((2, 32))
    for method in ("layercam", "gradcam++", "eigencam", "fem"):
        assert bare.explain(signal, 0, method=method).maps.shape == (1, 8)
    for method, message in (
        ("rise", r"has shape \[1, 2, 32\]; the method masks images"),
        ("scorecam", "the method masks images"),
    ):
        with pytest.raises(InputError, match=message):
            bare.explain(signal, 0, method=method)
    with pytest.raises(InputError, match="'flip' exchanges left and right of images"):
        bare.explain(signal, 0, augment="flip")
    segmenter = Explainer(write_segmenter(tmp_path / "a.onnx"))
    with pytest.raises(InputError, match="a box is in pixels of an image"):
        segmenter.explain(np.zeros((3, 32, 32), np.float32), 0, box=(0, 0, 1, 1))
    found = segmenter.explain(np.ones((3, 32, 32), np.float32), 0, region=np.eye(4))
    assert found.scores.tolist() == [16]
