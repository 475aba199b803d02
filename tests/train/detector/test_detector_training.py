"""Assigner, loss, optimiser, checkpoint and configuration of the detector."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_agent.errors import ConfigError, NotFoundError, UsageError
from train.detector.release import read_size
from train.detector.train_command import read_config

keras = pytest.importorskip("keras", reason="training needs Keras")
h5py = pytest.importorskip("h5py")

from train.detector.assign import assign, pairwise_iou  # noqa: E402
from train.detector.geometry import iou_matrix  # noqa: E402
from train.detector.losses import cells, decode, detection_loss  # noqa: E402
from train.detector.network import (  # noqa: E402
    STRIDES,
    Extent,
    build_detector,
    split,
)
from train.detector.optimizer import BIAS_SIZE, SMALLEST_SIZE, ChannelScaledAdamW, channel_sizes  # noqa: E402
from train.detector.trainer import Training  # noqa: E402

SIZE = 128
CONFIGS = Path(__file__).parents[3] / "train" / "configs"


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_detector(channels=16)


def labels_with(*rows: list[float]) -> np.ndarray:
    labels = np.zeros((1, 8, 5), np.float32)
    labels[0, : len(rows)] = np.array(rows, np.float32).reshape(-1, 5)
    return labels


def perfect_maps(box: list[float], logit: float = 8.0) -> list[np.ndarray]:
    """Maps that say: nothing anywhere, but this box in the middle cell of stride 8."""
    maps: list[np.ndarray] = []
    for stride in STRIDES:
        side = SIZE // stride
        maps += [np.full((1, side, side, 1), -8.0, np.float32), np.zeros((1, side, side, 4), np.float32)]
    column, row = int((box[0] + box[2]) / 2 // 8), int((box[1] + box[3]) / 2 // 8)
    centre = np.array([(box[0] + box[2]) / 16 - column - 0.5, (box[1] + box[3]) / 16 - row - 0.5])
    maps[0][0, row, column] = logit
    maps[1][0, row, column] = [*centre, *np.log([(box[2] - box[0]) / 8, (box[3] - box[1]) / 8])]
    return maps


def test_overlaps_agree_with_numpy() -> None:
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 50, (2, 9, 2, 2)), axis=2).reshape(2, 9, 4).astype(np.float32)
    ours = np.asarray(pairwise_iou(corners[:1, :4], corners[:1]))[0]
    assert ours == pytest.approx(iou_matrix(corners[0, :4], corners[0]), abs=1e-4)


def first_boxes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres and strides of the cells, and a box of 16 px around each centre, (1, cells, 4)."""
    centres, strides = (np.asarray(part) for part in cells(SIZE, SIZE))
    return centres, strides, np.concatenate([centres - 8, centres + 8], axis=1)[None].astype(np.float32)


def test_a_face_smaller_than_a_cell_still_gets_cells() -> None:
    centres, strides, boxes = first_boxes()
    face = np.array([[[33, 33, 38, 38], [0, 0, 0, 0]]], np.float32)
    targets = assign(boxes, face, np.array([[1, 0]], np.float32), centres, strides)
    positive = np.asarray(targets.positive)[0] > 0
    assert positive.sum() >= 1
    assert set(strides[positive]) == {8.0}
    assert np.asarray(targets.box)[0][positive] == pytest.approx(np.broadcast_to(face[0, 0], (positive.sum(), 4)))


@pytest.mark.parametrize("side", [12.0, 24.0, 47.0, 60.0, 100.0, 120.0])
def test_each_size_of_face_has_a_stride_that_answers_and_none_is_told_both_yes_and_no(side: float) -> None:
    centres, strides, boxes = first_boxes()
    face = np.array([[[64 - side / 2, 64 - side / 2, 64 + side / 2, 64 + side / 2]]], np.float32)
    targets = assign(boxes, face, np.ones((1, 1), np.float32), centres, strides)
    positive, silent = np.asarray(targets.positive)[0] > 0, np.asarray(targets.silent)[0] > 0
    assert positive.any()
    assert not (positive & silent).any()
    assert np.abs(centres[positive] - 64).max() <= 1.5 * strides[positive].max()


def test_of_two_faces_the_smaller_gets_the_cells_that_both_claim() -> None:
    centres, strides, boxes = first_boxes()
    faces = np.array([[[44, 44, 84, 84], [52, 52, 76, 76]]], np.float32)
    targets = assign(boxes, faces, np.ones((1, 2), np.float32), centres, strides)
    fine = (strides == 8) & (np.asarray(targets.positive)[0] > 0)
    assert np.asarray(targets.box)[0][fine] == pytest.approx(np.broadcast_to(faces[0, 1], (fine.sum(), 4)))


def test_padding_and_empty_pictures_answer_for_nothing() -> None:
    centres, strides, boxes = first_boxes()
    targets = assign(boxes, np.zeros((1, 2, 4), np.float32), np.zeros((1, 2), np.float32), centres, strides)
    assert np.asarray(targets.positive).sum() == 0
    assert np.asarray(targets.score).sum() == 0
    assert np.asarray(targets.silent).sum() == 0


def test_the_right_answer_costs_less_than_a_wrong_one() -> None:
    face = [40.0, 40.0, 72.0, 80.0]
    right = detection_loss(perfect_maps(face), labels_with([*face, 1]))
    moved = detection_loss(perfect_maps([56.0, 40.0, 88.0, 80.0]), labels_with([*face, 1]))
    unseen = detection_loss(perfect_maps(face, -8.0), labels_with([*face, 1]))
    assert float(right[1]) < float(moved[1])
    assert float(right[0]) < float(unseen[0])


def test_a_box_that_overlaps_enough_is_wanted_for_sure() -> None:
    off = perfect_maps([42.0, 42.0, 74.0, 82.0])  # overlaps its face by 0.80
    labels = labels_with([40.0, 40.0, 72.0, 80.0, 1])
    by_overlap, by_enough, by_more = (float(detection_loss(off, labels, sure)[0]) for sure in (1.0, 0.75, 0.9))
    assert by_enough < by_more < by_overlap


def test_a_missed_face_that_counts_twice_costs_twice_and_one_beside_it_as_before() -> None:
    left, right = [24.0, 40.0, 56.0, 80.0], [72.0, 40.0, 104.0, 80.0]
    alike, doubled, other = (
        float(detection_loss(perfect_maps(left, -8.0), labels_with([*left, counts], [*right, 1]))[0])
        for counts in (1, 2, 3)
    )
    assert doubled > alike * 1.4  # the right face's share stays
    assert other - doubled == pytest.approx(doubled - alike, rel=1e-3)


def test_a_box_on_an_unsure_face_costs_nothing() -> None:
    face = [40.0, 40.0, 72.0, 80.0]
    forgiven = detection_loss(perfect_maps(face), labels_with([*face, -1]))
    blamed = detection_loss(perfect_maps(face), labels_with())
    assert float(forgiven[0]) < 0.01 < float(blamed[0])


def test_decoding_in_training_and_on_the_device_agree() -> None:
    from edge_agent.detect_tflite import decode as on_device
    from edge_agent.detect_tflite import levels_of

    maps = perfect_maps([40.0, 40.0, 72.0, 80.0])
    box, _ = on_device(maps, levels_of([m.shape for m in maps], SIZE, SIZE), 0.5)
    centres, strides = cells(SIZE, SIZE)
    raw = np.concatenate([m.reshape(1, -1, 4) for m in maps[1::2]], axis=1)
    best = np.concatenate([m.reshape(1, -1) for m in maps[::2]], axis=1).argmax()
    corners = np.asarray(decode(raw, centres, strides))[0, best]
    assert box[0] == pytest.approx([*corners[:2], *(corners[2:] - corners[:2])], abs=1e-3)


def test_training_learns_one_picture_and_goes_on_from_its_checkpoint(network: keras.Model, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    _, trained = split(network, "block_3_project")
    features = rng.normal(size=(2, SIZE // 8, SIZE // 8, 16)).astype(np.float32)
    labels = np.repeat(labels_with([40, 40, 72, 80, 1]), 2, axis=0)
    reports: list[dict[str, float]] = []

    def endless():  # type: ignore[no-untyped-def]
        while True:
            yield features, labels

    first = Training(network, trained, 1e-2, tmp_path)
    first.run(endless(), 120, lambda step, figures: reports.append(figures), 40)
    assert len(reports) == 3
    assert reports[-1]["loss"] < 0.8 * reports[0]["loss"]
    second = Training(network, trained, 1e-2, tmp_path)
    assert second.resume()
    assert (second.step, second.pictures) == (first.step, first.pictures) == (120, 240)
    assert np.array_equal(second.average[0], first.average[0])


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Training]:
    """Makes trainings of one folder, which a first one was saved in."""

    def make(blocks: int = 0, **settings: object) -> Training:
        network = build_detector(channels=16, extent=Extent(blocks))
        _, trained = split(network, "block_3_project")
        return Training(network, trained, 1e-2, tmp_path, settings={"batch": 2, "sources": ("a", "b")} | settings)

    first = make()
    first.optimizer.build(first.model.trainable_variables)
    first.save()
    return make


def test_a_loss_that_is_no_number_ends_it_and_leaves_what_was_saved(
    saved: Callable[..., Training], tmp_path: Path
) -> None:
    files = tmp_path / "checkpoint.npz", tmp_path / "average.weights.h5"
    before = [path.read_bytes() for path in files]
    batch = np.full((1, SIZE // 8, SIZE // 8, 16), np.nan, np.float32), labels_with([40, 40, 72, 80, 1])
    with pytest.raises(ConfigError, match="the loss is no number at step 1; lower the rate"):
        saved().run(itertools.repeat(batch), 4, lambda step, figures: None, 2)
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("cut", [slice(0, 5000), slice(0, 0), slice(-3000, None)])
def test_a_damaged_checkpoint_is_named(saved: Callable[..., Training], tmp_path: Path, cut: slice) -> None:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[cut])
    with pytest.raises(ConfigError, match=r"checkpoint\.npz is damaged .*; give another --run, or start one from"):
        saved().resume()


def test_a_run_goes_on_only_as_what_it_began_as(saved: Callable[..., Training]) -> None:
    assert saved().resume()
    with pytest.raises(ConfigError, match="was made with another batch, rate; give another --run"):
        saved(batch=4, rate=0.5).resume()
    with pytest.raises(ConfigError, match="is of another network; give another --run"):
        saved(blocks=1).resume()


def test_a_step_is_a_share_of_each_channels_size() -> None:
    small, large = np.full((1, 1, 4, 1), 0.05, np.float32), np.full((1, 1, 4, 1), 5.0, np.float32)
    kernel = keras.Variable(np.concatenate([small, large], axis=3))
    depthwise = keras.Variable(np.concatenate([np.full((3, 3, 1, 1), 0.1), np.full((3, 3, 1, 1), 10.0)], axis=2))
    bias = keras.Variable(np.zeros(2, np.float32))
    before = [np.array(v) for v in (kernel, depthwise, bias)]
    optimizer = ChannelScaledAdamW(0.01, weight_decay=0.0)
    optimizer.apply([keras.ops.ones(v.shape) for v in (kernel, depthwise, bias)], [kernel, depthwise, bias])
    moved = [b - np.array(v) for b, v in zip(before, (kernel, depthwise, bias), strict=True)]
    assert moved[0] / before[0] == pytest.approx(0.01, rel=1e-3)
    assert moved[1] / before[1] == pytest.approx(0.01, rel=1e-3)
    assert moved[2] == pytest.approx(0.01 * BIAS_SIZE, rel=1e-3)


def test_a_channel_of_zeros_can_move() -> None:
    assert float(np.asarray(channel_sizes(keras.Variable(np.zeros((1, 1, 4, 1), np.float32)))).item()) == pytest.approx(
        SMALLEST_SIZE
    )


def test_an_unknown_key_in_the_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("minuets = 3\n")
    with pytest.raises(ConfigError, match="minuets"):
        read_config(tmp_path / "wrong.toml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps = ", "Invalid value"),
        ('steps = "many"', r"steps: .*\(got 'many'\)"),
        ("sure_iou = 0.0", r"sure_iou: .*greater than 0"),
        ("[recipe]\nmosaik = 0.5", "recipe has unknown keys mosaik; known: "),
        ('sources = ["own"]\n[weights]\naizoo = 1', "weights has unknown keys aizoo; known: own"),
        ("steps = -5", r"steps: .*greater than or equal to 1"),
        ("rate = nan", "rate: Input should be a finite number"),
        ("loader_threads = 0", "loader_threads: "),
        ("size_px = 100", "size_px: .*multiple of 32"),
        ("recipe = 5", "recipe: "),
        ("weights = 5", "weights: "),
        ("sources = 3", "sources: "),
        ("sources = []", "sources: .*at least 1 item"),
        ("[weights]\naizoo = 0", r"weights\.aizoo: .*greater than 0"),
        ("[recipe]\nmosaic = nan", r"recipe\.mosaic: .*finite number"),
        ("[recipe]\ncover = 1.5", r"recipe\.cover: .*less than or equal to 1"),
    ],
)
def test_a_wrong_configuration_is_one_line_that_names_the_key(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(ConfigError, match=says) as found:
        read_config(tmp_path / "wrong.toml")
    assert "wrong.toml" in str(found.value)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"none\.toml"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("detector*.toml")))
def test_a_committed_configuration_reads(name: str) -> None:
    config = read_config(CONFIGS / f"{name}.toml")
    assert config.size_px % 32 == 0
    assert set(config.weights) <= set(config.sources)


@pytest.mark.parametrize("text", ["640", "640x", "640x470", "32x32", "axb"])
def test_an_input_size_that_the_pyramid_cannot_tile_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--input"):
        read_size(text)
