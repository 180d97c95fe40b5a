import numpy as np
import pytest
import torch

from graftcam.demo import bundled, data, train
from graftcam.demo.figure import Figure
from graftcam.demo.model import build
from support.images import read_rgb
from support.interpreter import python

COUNT = 40


@pytest.fixture(scope="module")
def heldout() -> data.Glyphs:
    return data.load_glyphs("heldout")


@pytest.fixture(scope="module")
def canvases(heldout) -> data.Canvases:
    return data.draw(heldout, COUNT, seed=7)


def test_the_same_seed_gives_the_same_bytes(heldout, canvases):
    again = data.draw(heldout, COUNT, seed=7)
    assert again.images.tobytes() == canvases.images.tobytes()
    assert again.boxes == canvases.boxes


def test_another_seed_gives_other_images(heldout, canvases):
    assert data.draw(heldout, 1, seed=8).images.tobytes() != canvases.images[:1].tobytes()


def test_a_canvas_does_not_depend_on_how_many_are_drawn(heldout, canvases):
    fewer = data.draw(heldout, 3, seed=7)
    np.testing.assert_array_equal(fewer.images, canvases.images[:3])


def test_shapes_and_types(canvases):
    assert canvases.images.shape == (COUNT, data.SIZE, data.SIZE, 3)
    assert canvases.images.dtype == np.uint8
    assert canvases.targets.shape == (COUNT, len(data.LABELS))
    assert canvases.targets.dtype == np.float32


def test_two_or_three_digits_of_different_classes_which_the_targets_name(canvases):
    counts = {len(boxes) for boxes in canvases.boxes}
    assert counts == {2, 3}
    for boxes, target in zip(canvases.boxes, canvases.targets, strict=True):
        labels = [box.label for box in boxes]
        assert len(set(labels)) == len(labels)
        assert sorted(labels) == np.flatnonzero(target).tolist()


def test_boxes_lie_on_the_canvas_and_do_not_overlap(canvases):
    for boxes in canvases.boxes:
        covered = np.zeros((data.SIZE, data.SIZE), int)
        for x, y, w, h, _ in boxes:
            assert min(x, y) >= 0
            assert max(x + w, y + h) <= data.SIZE
            covered[y : y + h, x : x + w] += 1
        assert covered.max() == 1


def test_a_digits_extent_frames_its_ink(heldout):
    rng = np.random.default_rng(0)
    for ink in heldout.ink[:COUNT]:
        figure = Figure.vary(ink, rng)
        image = np.zeros((data.SIZE, data.SIZE, 3), np.float32)
        figure.paint(image, 30, 40, np.ones(3, np.float32), shade=0.0)
        rows, columns = np.nonzero(image[..., 0] > 0.5)
        low = np.array([columns.min() - 30, rows.min() - 40])
        high = figure.size - (np.array([columns.max() - 30, rows.max() - 40]) + 1)
        # Half ink lies at most a cell (4.7 pixels) within the extent, and never beyond it by more
        # than the interpolation overshoots.
        assert min(low.min(), high.min()) >= -1
        assert max(low.max(), high.max()) <= 6


def test_training_and_heldout_scans_are_disjoint_and_complete(heldout):
    training = data.load_glyphs("train")
    seen = {ink.tobytes() for ink in training.ink}
    assert not any(ink.tobytes() in seen for ink in heldout.ink)
    assert len(training.labels) + len(heldout.labels) == 1797
    assert set(training.labels) == set(heldout.labels) == set(range(10))


def test_the_bundled_images_are_the_generators(heldout):
    drawn = data.draw(heldout, train.IMAGE_COUNT, train.IMAGE_SEED)
    images = bundled.images()
    assert [image.boxes for image in images] == drawn.boxes
    for found, image in zip(images, drawn.images, strict=True):
        # OpenCV's interpolation and line drawing may differ in single pixels between versions.
        assert np.abs(read_rgb(found.path).astype(int) - image).mean() < 0.5


def test_the_weights_are_small_and_fit_the_model():
    assert bundled.WEIGHTS.stat().st_size < 1_000_000
    model = build()
    model.load_state_dict(torch.load(bundled.WEIGHTS, weights_only=True))
    layer = model.get_submodule("layer3")
    shapes = []
    layer.register_forward_hook(lambda _module, _inputs, output: shapes.append(output.shape))
    with torch.no_grad():
        logits = model.eval()(torch.zeros(2, 3, data.SIZE, data.SIZE))
    assert logits.shape == (2, len(data.LABELS))
    assert shapes == [(2, 96, 12, 12)]


def test_what_the_demo_command_needs_runs_without_torch_and_scikit_learn():
    code = (
        "import sys; from graftcam.demo import bundled, data; bundled.images(); "
        "print(sorted({'torch', 'sklearn', 'onnx'} & set(sys.modules)))"
    )
    assert python(code) == "[]"
