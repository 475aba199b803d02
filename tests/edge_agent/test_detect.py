"""Which detector the configuration names, and what is said when it cannot be had."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_agent.config import DetectorConfig
from edge_agent.detect import SHIPPED, HaarDetector, YuNetDetector, open_detector
from edge_agent.detect_tflite import TFLiteDetector
from edge_agent.errors import ConfigError, ModelError, NotFoundError


def test_yunet_without_a_file_says_which_key_to_set() -> None:
    with pytest.raises(ConfigError, match=r"detector\.model is not set"):
        open_detector(DetectorConfig(kind="yunet"))


def test_yunet_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nothing\.onnx"):
        open_detector(DetectorConfig(kind="yunet", model=str(tmp_path / "nothing.onnx")))


def test_yunet_refuses_a_file_that_is_no_network(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        open_detector(DetectorConfig(kind="yunet", model=str(tmp_path / "broken.onnx")))


def test_haar_says_what_to_install_where_opencv_has_no_cascades(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cv2.data, "haarcascades", str(tmp_path))
    with pytest.raises(ConfigError, match="opencv-python-headless"):
        open_detector(DetectorConfig(kind="haar"))


@pytest.mark.parametrize(("key", "value"), [("model", "a.xml"), ("score", 0.5), ("nms_iou", 0.3)])
def test_haar_refuses_what_it_would_ignore(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"detector.{key} is set, but detector.kind 'haar' has none; leave it out"):
        open_detector(DetectorConfig(kind="haar", **{key: value}))


def test_haar_finds_nothing_on_a_wall() -> None:
    assert HaarDetector.open().detect(np.full((120, 160, 3), 90, np.uint8)) == []


def test_the_projects_own_detector_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"gone\.tflite"):
        open_detector(DetectorConfig(model=str(tmp_path / "gone.tflite")))


@pytest.mark.shared_data
def test_yunet_scales_pictures_to_the_side_that_the_configuration_states(shared: Path) -> None:
    file = str(shared / "models" / "yunet_n.onnx")
    detector = open_detector(DetectorConfig(kind="yunet", model=file, longer_side_px=320))
    assert isinstance(detector, YuNetDetector)
    detector.detect(np.full((360, 640, 3), 90, np.uint8))
    assert detector.size_px == (320, 180)


@pytest.mark.shared_data
def test_yunet_gives_boxes_in_pixels_of_the_picture_whatever_its_size(shared: Path) -> None:
    detector = YuNetDetector.open(shared / "models" / "yunet_n.onnx")
    clip = cv2.VideoCapture(str(shared / "data" / "clips" / "man_bare.mp4"))
    picture = clip.read()[1]
    clip.release()
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    large, small = detector.detect(picture)[0], detector.detect(half)[0]
    assert large.box.w == pytest.approx(2 * small.box.w, rel=0.15)
    assert large.landmarks_px is not None
    assert large.landmarks_px.shape == (5, 2)


@pytest.mark.shared_data
def test_yunets_boxes_end_at_the_edges_of_the_picture(shared: Path) -> None:
    detector = YuNetDetector.open(shared / "models" / "yunet_n.onnx", score=0.3)
    clip = cv2.VideoCapture(str(shared / "data" / "clips" / "man_bare.mp4"))
    picture = clip.read()[1]
    clip.release()
    whole = detector.detect(picture)[0].box
    cut = np.ascontiguousarray(picture[:, int(whole.x + 0.5 * whole.w) :])
    boxes = [face.box for face in detector.detect(cut)]
    assert 0 in {box.x for box in boxes}
    assert all(box.x >= 0 and box.y >= 0 and box.x + box.w <= cut.shape[1] for box in boxes)


class TestShipped:
    """The file in the wheel."""

    def test_it_is_the_default_and_sees_no_face_on_a_wall(self) -> None:
        assert open_detector(DetectorConfig()).detect(np.full((360, 640, 3), 90, np.uint8)) == []

    def test_its_own_threshold_stays_whatever_the_configuration_asks_for(self) -> None:
        own, asked = open_detector(DetectorConfig()), open_detector(DetectorConfig(score=0.1))
        assert asked.score_threshold == own.score_threshold > 0.1

    def test_boxes_are_suppressed_as_its_manifest_says_unless_the_configuration_does(self) -> None:
        own, asked = open_detector(DetectorConfig()), open_detector(DetectorConfig(nms_iou=0.2))
        assert isinstance(own, TFLiteDetector)
        assert isinstance(asked, TFLiteDetector)
        assert own.manifest.detector is not None
        assert (own.nms_iou, asked.nms_iou) == (own.manifest.detector.nms_iou, 0.2)

    def test_it_is_small(self) -> None:
        assert SHIPPED.stat().st_size < 2_000_000

    @pytest.mark.parametrize("size", [(1, 1), (3, 700), (700, 3), (1080, 1920)])
    def test_any_shape_of_picture_is_taken(self, size: tuple[int, int]) -> None:
        faces = open_detector(DetectorConfig()).detect(np.zeros((*size, 3), np.uint8))
        assert all(face.box.x >= 0 and face.box.y >= 0 for face in faces)
