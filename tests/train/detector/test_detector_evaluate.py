"""What counts as found, missed and false."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.errors import ConfigError, ImageError, NotFoundError
from train.__main__ import main
from train.detector.evaluate import Look, average_precision, false_boxes, found_faces, measure, score_for_false_boxes
from train.detector.photos import BARE, MASKED, Photo, read_photos


def look(faces: list[list[float]], boxes: list[list[float]], scores: list[float], label: str = MASKED) -> Look:
    labelled = np.array(faces, np.float32).reshape(-1, 4)
    photo = Photo("drawn", "one", Path("one.jpg"), labelled, (label,) * len(labelled))
    return Look(photo, np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32))


FACE, NEAR, FAR, SMALL = [0, 0, 40, 40], [4, 0, 44, 40], [100, 100, 140, 140], [200, 0, 212, 12]


def test_one_box_finds_one_face_and_the_nearest_box_is_taken() -> None:
    assert found_faces(look([FACE, NEAR], [NEAR], [0.9])).tolist() == [-1, 0]


def test_a_box_on_a_face_that_is_too_small_to_count_is_not_false() -> None:
    assert false_boxes(look([SMALL], [SMALL, FAR], [0.9, 0.8])) == 1


def test_every_box_on_a_photograph_without_faces_is_false() -> None:
    assert false_boxes(look([], [FACE, FAR], [0.9, 0.8])) == 2


def test_recall_is_told_by_class_and_small_faces_by_size_only() -> None:
    looks = [look([FACE, SMALL], [FACE], [0.9]), look([FAR], [], [], BARE)]
    result = measure(looks, 0.5)
    assert (result.by_class[MASKED].found, result.by_class[MASKED].n) == (1, 1)
    assert (result.by_class[BARE].found, result.by_class[BARE].n) == (0, 1)
    assert result.by_size[(32, 64)].n == 2
    assert result.by_class_and_size[MASKED, (32, 64)].found == 1
    assert result.by_class_and_size[BARE, (32, 64)].found == 0


def test_a_box_below_the_score_finds_nothing() -> None:
    assert measure([look([FACE], [FACE], [0.4])], 0.5).by_class[MASKED].found == 0


def test_the_score_for_a_number_of_false_boxes_allows_just_so_many() -> None:
    looks = [look([FACE], [FACE, FAR, [60, 0, 90, 30]], [0.9, 0.7, 0.3]), look([], [FAR], [0.5])]
    for allowed in range(4):
        score = score_for_false_boxes(looks, allowed)
        assert measure(looks, score).false_boxes == allowed


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [([0.9, 0.8], 1.0), ([0.8, 0.9], 0.5)],
)
def test_average_precision_falls_when_a_false_box_scores_higher(scores: list[float], wanted: float) -> None:
    assert average_precision([look([FACE], [FACE, FAR], scores)]) == pytest.approx(wanted)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two labelled photographs of noise and one without a face, in the test split."""
    rng = np.random.default_rng(0)
    voc = "<a><object><name>with_mask</name><bndbox>{}</bndbox></object></a>"
    corners = "".join(
        f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), (10, 10, 60, 70), strict=True)
    )
    for name in ("ilc2021/images/a", "ilc2021/images/b", "negatives/c"):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (96, 128, 3)).astype(np.uint8))
    (tmp_path / "ilc2021/annotations").mkdir()
    for name in "ab":
        (tmp_path / f"ilc2021/annotations/{name}.xml").write_text(voc.format(corners))
    rows = "ilc2021,a,1,test\nilc2021,b,2,test\nnegatives,c,3,test\n"
    (tmp_path / "splits.csv").write_text(f"set,image,group,split\n{rows}")
    return tmp_path


def test_the_command_compares_at_equal_false_boxes_counts_those_without_a_face_and_notes_the_run(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", str(photographs), "--sources", "ilc2021", "--false-boxes", "1", "--negatives"]
    words += ["--faceless", str(photographs / "ilc2021/images")]
    files = ["--json", str(tmp_path / "out/figures.json"), "--log", str(tmp_path / "log.jsonl")]
    assert main(["evaluate-detector", *words, *files]) == 0
    said = capsys.readouterr().out
    assert "at no more than the 1 false boxes asked for (0.50 a picture)" in said
    assert "by class and size" in said
    assert "on 1 pictures without a face (negatives)" in said
    assert "on 2 pictures without a face (faceless)" in said
    book = json.loads((tmp_path / "out/figures.json").read_text())
    first = next(iter(book.values()))
    assert first["by_class_and_size_px"]["with_mask 32-64"]["n"] == 2
    assert {"false_boxes_on_negatives", "false_boxes_on_faceless"} <= set(first)
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["split"] == "test"


def test_a_damaged_picture_among_those_without_a_face_is_named_and_left_out(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faceless = tmp_path / "faceless"
    shutil.copytree(photographs / "ilc2021/images", faceless)
    (faceless / "a.jpg").write_bytes((faceless / "a.jpg").read_bytes()[:3000])
    words = ["--data", str(photographs), "--sources", "ilc2021", "--log", str(tmp_path / "log.jsonl")]
    assert main(["evaluate-detector", *words, "--faceless", str(faceless)]) == 0
    said = capsys.readouterr()
    assert "false boxes on 1 pictures without a face (faceless)" in said.out
    assert f"{faceless / 'a.jpg'} cannot be decoded, or only in part; replace or remove it; it is left out" in said.err
    (faceless / "b.jpg").write_bytes(b"no picture")
    assert main(["evaluate-detector", *words, "--faceless", str(faceless)]) == 65
    assert "no photograph is left, 2 damaged, the first: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--sources", "ilc"], 78, "has no set 'ilc'; it has ilc2021, negatives"),
        (["--sources", "ilc2021", "--split", "val"], 78, "has no photograph of ilc2021 in val"),
        (["--sources", "ilc2021", "--score", "2"], 2, "--score is 2.0; give a number between 0 and 1"),
        (["--sources", "ilc2021", "--nms-iou", "nan"], 2, "--nms-iou is nan; give a number between 0 and 1"),
        (["--sources", "ilc2021", "--false-boxes", "-3"], 2, "--false-boxes is -3; give a count of 0 or more"),
        (["--sources", "ilc2021", "--log", "{data}/splits.csv/log"], 74, "evaluations cannot be noted in"),
        (["--sources", "ilc2021", "--model", "gone.tflite"], 66, "gone.tflite is not there"),
        (["--sources", "ilc2021", "--faceless", "gone"], 66, "--faceless gone is no folder"),
        (["--sources", "ilc2021", "--yunet", "gone.onnx"], 66, "gone.onnx is not there"),
        (["--sources", "ilc2021", "--model", "{data}/bad.weights.h5", "--input", "640"], 2, "--input is '640'"),
        (["--sources", "ilc2021", "--model", "{data}/bad.weights.h5"], 78, "does not fit"),
    ],
)
def test_a_wrong_command_ends_in_one_line(
    photographs: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, says: str
) -> None:
    (photographs / "bad.weights.h5").write_bytes(b"no weights")
    words = [word.format(data=photographs) for word in words]
    log = str(photographs / "log.jsonl")
    assert main(["evaluate-detector", "--data", str(photographs), "--log", log, *words]) == status
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line


def test_a_photograph_that_is_gone_and_one_that_is_none_are_told_apart(photographs: Path) -> None:
    first = read_photos(photographs, "test", ("ilc2021",))[0]
    first.path.write_text("no picture")
    with pytest.raises(ImageError, match=r"a\.jpg cannot be decoded"):
        first.pixels()
    first.path.unlink()
    with pytest.raises(NotFoundError, match=r"a\.jpg is not there"):
        first.pixels()


def test_a_photograph_that_is_not_whole_is_refused(photographs: Path) -> None:
    first = read_photos(photographs, "test", ("ilc2021",))[0]
    noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    whole = cv2.imencode(".jpg", noise)[1].tobytes()
    half = whole[: len(whole) // 2]
    for data, says in ((half, "cannot be decoded, or only in part"), (half + b"\xff\xd9", "grey from some line on")):
        first.path.write_bytes(data)
        assert cv2.imread(str(first.path)) is not None, "OpenCV takes the file for a picture"
        with pytest.raises(ImageError, match=rf"a\.jpg .*{says}.*; replace or remove it"):
            first.pixels()
    first.path.write_bytes(whole)
    assert first.pixels().shape == (300, 400, 3)


def test_a_table_that_a_spreadsheet_wrote_is_read(photographs: Path) -> None:
    table = photographs / "splits.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert len(read_photos(photographs, "test", ("ilc2021",))) == 2


def test_false_boxes_that_the_agent_would_drop_are_counted_apart() -> None:
    result = measure([look([], [FAR, SMALL], [0.9, 0.8])])
    assert (result.false_boxes, result.false_boxes_kept) == (2, 1)


@pytest.mark.parametrize(
    ("xml", "says"),
    [("<a><object>", "is not a Pascal VOC file"), ("<a><object><name>beard</name><bndbox/></object></a>", "'beard'")],
)
def test_labels_that_cannot_be_read_are_named(photographs: Path, xml: str, says: str) -> None:
    (photographs / "ilc2021/annotations/a.xml").write_text(xml)
    with pytest.raises(ConfigError, match=rf"a\.xml .*{says}"):
        read_photos(photographs, "test", ("ilc2021",))
