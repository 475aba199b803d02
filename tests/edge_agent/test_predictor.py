import contextlib
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_agent.camera import open_source
from edge_agent.config import CameraConfig, Config
from edge_agent.errors import ImageError, MaskwatchError, ModelError, NotFoundError
from edge_agent.predictor import FaceMaskPredictor, Prediction
from edge_agent.records import U8, Answers
from fakes import BrightSquares, ByColour

SAMPLE = Path(__file__).parents[2] / "edge_agent" / "samples" / "sample.mp4"


def predictor() -> FaceMaskPredictor:
    return FaceMaskPredictor(Config(), detector=BrightSquares(), classifier=ByColour())


def picture(*colours: tuple[int, int, int], side: int = 40) -> U8:
    """One square of each BGR colour, in a row."""
    bgr = np.zeros((100, 20 + 80 * len(colours), 3), np.uint8)
    for place, colour in enumerate(colours):
        bgr[20 : 20 + side, 20 + 80 * place : 20 + 80 * place + side] = colour
    return bgr


def test_each_face_gets_its_likeliest_label_and_whole_pixels() -> None:
    found = predictor().predict(picture((0, 0, 255), (0, 255, 0)))
    assert [face.label for face in found.faces] == ["with_mask", "without_mask"]
    assert found.faces[0].box == (20, 20, 40, 40)
    assert sum(found.faces[0].probabilities.values()) == pytest.approx(1.0, abs=1e-5)


def test_a_face_is_certain_only_if_large_and_likely_enough() -> None:
    assert predictor().predict(picture((0, 0, 255))).faces[0].certain
    assert not predictor().predict(picture((0, 0, 255), side=12)).faces[0].certain, "too small to be counted"
    assert not predictor().predict(picture((0, 120, 130))).faces[0].certain, "as likely the one as the other"


def test_the_json_of_a_picture_has_the_shape_of_the_contract() -> None:
    line = predictor().predict(picture((255, 0, 0)), name="door.jpg").to_json()
    assert list(line) == ["image", "faces"]
    assert line["image"] == "door.jpg"
    face = line["faces"][0]
    assert list(face) == ["box", "score", "label", "certain", "probabilities"]
    assert face["box"] == [20, 20, 40, 40]
    assert face["label"] == "mask_weared_incorrect"
    assert list(face["probabilities"]) == list(ByColour.labels)


def test_a_picture_without_a_face_has_no_faces() -> None:
    assert predictor().predict(np.zeros((50, 50, 3), np.uint8)).faces == ()


def test_a_bad_picture_in_a_batch_does_not_stop_the_others(tmp_path: Path) -> None:
    good, text = tmp_path / "good.png", tmp_path / "text.jpg"
    cv2.imwrite(str(good), picture((0, 0, 255)))
    text.write_text("no picture")
    itself = tmp_path / "itself.jpg"
    itself.symlink_to(itself)
    pictures: list[Any] = [good, text, tmp_path / "absent.jpg", "a\0b.jpg", itself, None, good.read_bytes(), good]
    outcomes = list(predictor().predict_batch(pictures))
    bad = [ImageError, NotFoundError, NotFoundError, ImageError, ImageError, ImageError]
    assert [type(outcome) for outcome in outcomes] == [Prediction, *bad, Prediction]
    assert str(text) in str(outcomes[1])
    assert "embedded null" in str(outcomes[3])
    assert "it is a link to itself" in str(outcomes[4])
    assert "got bytes; give a path, or uint8 BGR" in str(outcomes[6])


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_picture_is_refused_with_what_would_do(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"uint8 BGR \(height, width, 3\)"):
        predictor().predict(array)


def test_boxes_are_in_pixels_of_the_picture_after_exif_rotation(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    ok, data = cv2.imencode(".jpg", picture((0, 0, 255)))
    assert ok
    # An APP1 segment that says orientation 6: turn a quarter clockwise to see it upright
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    jpeg = data.tobytes()
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:])
    x, y, w, h = predictor().predict(path).faces[0].box
    assert (w, h) == pytest.approx((40, 40), abs=3)
    assert (x, y) == pytest.approx((40, 20), abs=3), "the square was 20 px from the left and 20 px from the top of 100"


def plain_clip(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (100, 100))
    for _ in range(frames):
        writer.write(picture((0, 0, 255)))
    writer.release()
    return path


def test_a_video_is_read_frame_by_frame(tmp_path: Path) -> None:
    path = plain_clip(tmp_path / "clip.avi", 5)
    found = list(predictor().predict_video(path))
    assert [p.image for p in found] == [f"{path}#{i}" for i in range(5)]
    assert all(p.faces[0].label == "with_mask" for p in found)


def test_a_video_whose_name_has_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_clip(tmp_path / "07:00.avi", 2)
    monkeypatch.chdir(tmp_path)
    assert [found.image for found in predictor().predict_video("07:00.avi")] == ["07:00.avi#0", "07:00.avi#1"]


def test_a_video_that_is_none_says_so(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("no video")
    with pytest.raises(MaskwatchError, match="give an MP4"):
        list(predictor().predict_video(path))


def noisy_clip(path: Path, frames: int) -> Path:
    """A clip that is large enough for its middle to be damaged."""
    rng = np.random.default_rng(1)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 50, (64, 48))
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def test_a_damaged_place_in_a_video_is_passed_over_and_said_at_the_end_as_a_run_does(tmp_path: Path) -> None:
    path = noisy_clip(tmp_path / "clip.mp4", 60)
    data = path.read_bytes()
    at, zeros = int(len(data) * 0.45), len(data) // 10
    path.write_bytes(data[:at] + bytes(zeros) + data[at + zeros :])
    source = open_source(CameraConfig(source=str(path)))
    while not source.ended:
        source.read()
    came, seen = source.figures.frames, []
    with pytest.raises(ImageError) as raised:
        seen.extend(found.image for found in predictor().predict_video(path))
    assert seen == [f"{path}#{number}" for number in range(came)]
    assert came > 45
    assert str(raised.value).startswith(f"{source.shortfall.words}; what came was looked at")
    assert f"{came} frames came of 60 that {path} states; {60 - came} could not be decoded" in str(raised.value)


def test_a_video_that_breaks_off_gives_what_is_whole_and_says_so(tmp_path: Path) -> None:
    path = plain_clip(tmp_path / "clip.avi", 20)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    seen = []  # list.extend keeps what came before the error
    with pytest.raises(ImageError, match=r"frames came of 20 that .*clip\.avi states; it ends [\d.]+ s early"):
        seen.extend(predictor().predict_video(path))
    assert 0 < len(seen) < 20


def test_it_says_which_models_it_uses() -> None:
    assert predictor().model_info() == {"classifier": {"name": "by-colour"}, "detector": {"name": "bright-squares"}}
    shipped = FaceMaskPredictor().model_info()
    assert shipped["classifier"]["manifest"]["labels"] == list(ByColour.labels)
    assert len(shipped["detector"]["sha256"]) == 64


def test_the_documented_example_runs_as_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = cv2.VideoCapture(str(SAMPLE))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 30)
    cv2.imwrite(str(tmp_path / "door.jpg"), capture.read()[1])
    capture.release()
    shutil.copy(SAMPLE, tmp_path / "clip.mp4")
    words = (Path(__file__).parents[2] / "docs" / "people.md").read_text().partition("## From Python")[2]
    example = re.search(r"```python\n(.*?)```", words, re.DOTALL)
    assert example is not None
    with contextlib.chdir(tmp_path):
        exec(compile(example[1], "docs/people.md", "exec"), {})
    said = capsys.readouterr().out
    for word in ("door.jpg without_mask", "nowhere.jpg is not there", "clip.mp4#30 1", "maskwatch-detector", "detect"):
        assert word in said


def test_a_score_is_judged_by_what_its_detector_calls_a_face() -> None:
    faint, strict = BrightSquares(), BrightSquares()
    faint.score_threshold, strict.score_threshold = 0.3, 0.89
    worth = [
        FaceMaskPredictor(Config(), detector=detector, classifier=ByColour()).read(picture((0, 0, 255)))[0][0].sureness
        for detector in (faint, strict)
    ]
    assert worth == [1.0, 0.2]


def test_a_classifier_of_ones_own_that_answers_something_else_is_told_what_is_wanted() -> None:
    class Probabilities(ByColour):
        def classify(self, crops: U8) -> Answers:
            return super().classify(crops).probabilities  # type: ignore[return-value]

    predictor = FaceMaskPredictor(Config(), detector=BrightSquares(), classifier=Probabilities())
    with pytest.raises(ModelError, match=r"'by-colour' answers ndarray; give edge_agent.records.Answers with .*1, 3"):
        predictor.predict(picture((0, 0, 255)))


class SeesNoFaces(ByColour):
    """Takes nothing green for a face, and everything blue for half of one."""

    def classify(self, crops: U8) -> Answers:
        answers = super().classify(crops)
        faces = np.where(answers.probabilities.argmax(axis=1) == 1, 0.0, 0.5).astype(np.float32)
        return Answers(answers.probabilities, faces)


def test_what_the_classifier_takes_for_no_face_is_worth_nothing_and_never_certain() -> None:
    predictor = FaceMaskPredictor(Config(), detector=BrightSquares(), classifier=SeesNoFaces())
    (green,), (blue,) = (predictor.read(picture(colour))[0] for colour in ((0, 255, 0), (255, 0, 0)))
    assert (green.sureness, blue.sureness) == (0.0, 0.5)
    assert (predictor.certain(green), predictor.certain(blue)) == (False, True)
    assert [face.certain for face in predictor.predict(picture((0, 255, 0))).faces] == [False]


def test_a_picture_has_no_face_where_the_detector_is_unsure_and_the_classifier_sees_none() -> None:
    unsure = BrightSquares()
    unsure.score_threshold = 0.85  # its boxes have 0.9
    predictor = FaceMaskPredictor(Config(), detector=unsure, classifier=SeesNoFaces())
    assert [face.label for face in predictor.predict(picture((0, 255, 0), (255, 0, 0))).faces] == [ByColour.labels[2]]
    assert len(predictor.read(picture((0, 255, 0), (255, 0, 0)))[0]) == 2  # who is followed may turn round
