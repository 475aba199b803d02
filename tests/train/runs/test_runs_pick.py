"""From a device's folder to the labelling tool and back into a training set."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_agent.privacy import CROP_MARGIN
from train.__main__ import main
from train.data.readers import read_coco
from train.runs import labelling, picking, snapshots

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")


def face(seed: int, size: int = 90) -> NDArray[np.uint8]:
    """A blotchy picture that no other seed resembles."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)


def save(
    root: Path,
    name: str,
    bgr: NDArray[np.uint8],
    probabilities: tuple[float, ...],
    label: str = "cannot_tell",
    **about: object,
) -> Path:
    day = root / "2026-03-01"
    day.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(day / f"{name}.jpg"), bgr)
    words = {
        "at": "2026-03-01T10:00:00.000Z", "camera": "door", "visit": name, "label": label, "pictures": "crop",
        "probabilities": dict(zip(LABELS, probabilities, strict=True)), "box": [200, 100, 53, 53],
        "picture_px": [640, 360],
    } | about  # fmt: skip
    (day / f"{name}.json").write_text(json.dumps(words))
    return day / f"{name}.jpg"


@pytest.fixture
def device(tmp_path: Path) -> Path:
    root = tmp_path / "snapshots"
    save(root, "unsure", face(1), (0.4, 0.3, 0.3))
    save(root, "again", np.clip(face(1).astype(int) + 3, 0, 255).astype(np.uint8), (0.45, 0.3, 0.25))
    save(root, "close", face(2), (0.5, 0.45, 0.05), "with_mask")
    save(root, "sure", face(3), (0.98, 0.01, 0.01), "with_mask")
    return root


def test_uncertain_faces_are_picked_once_the_least_certain_first(device: Path) -> None:
    found = snapshots.read([device], LABELS)
    picked = picking.pick(found.snapshots, picking.Rule())
    assert [item.snapshot.visit for item in picked] == ["unsure", "close"]


def test_a_wanted_label_comes_before_an_equally_uncertain_one(tmp_path: Path) -> None:
    save(tmp_path, "bare", face(1), (0.2, 0.7, 0.1))
    save(tmp_path, "badly", face(2), (0.2, 0.1, 0.7))
    found = snapshots.read([tmp_path], LABELS).snapshots
    picked = picking.pick(found, picking.Rule(margin=0.9, wanted="mask_weared_incorrect"))
    assert [item.snapshot.visit for item in picked] == ["badly", "bare"]


def test_a_busy_camera_does_not_crowd_out_another(tmp_path: Path) -> None:
    for i in range(8):
        save(tmp_path, f"busy{i}", face(i), (0.34, 0.33, 0.33))
    save(tmp_path, "quiet", face(50), (0.45, 0.3, 0.25), camera="yard")
    picked = picking.pick(snapshots.read([tmp_path], LABELS).snapshots, picking.Rule(count=3))
    assert "yard" in {item.snapshot.camera for item in picked}


def test_the_box_lies_where_privacy_cut_the_crop() -> None:
    from edge_agent.config import PrivacyConfig
    from edge_agent.privacy import shown
    from edge_agent.records import Box

    picture = np.zeros((360, 640, 3), np.uint8)
    for box in (Box(200, 100, 53, 61), Box(4, 2, 40, 40)):
        x, y, w, h = box.rounded()
        picture[:] = 0
        picture[y : y + h, x : x + w] = 255
        crop = shown(picture, [box], PrivacyConfig(pictures="crop"), box)
        assert crop is not None
        left, top, width, height = snapshots.in_crop(box).rounded()
        assert (crop[top : top + height, left : left + width] == 255).all()
        assert int((crop == 255).sum()) == width * height * 3
    assert CROP_MARGIN > 0


def test_what_cannot_be_used_is_counted_with_its_reason(device: Path) -> None:
    save(device, "hidden", face(7), (0.4, 0.3, 0.3), pictures="blurred")
    (device / "2026-03-01" / "half.jpg").write_bytes(b"no picture")
    (device / "2026-03-01" / "half.json").write_text(
        '{"probabilities": {"with_mask": 1}, "box": [0, 0, 9, 9], "label": "with_mask"}'
    )
    (device / "2026-03-01" / "lonely.jpg").write_bytes(b"no picture")
    found = snapshots.read([device], LABELS)
    assert found.left_out == {"with blurred faces": 1, "that cannot be decoded": 1, "without JSON": 1}
    assert len(found.snapshots) == 4


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"box": [float("nan"), 0, 9, 9]}, "with JSON that says no box and probabilities"),
        ({"box": [float("inf"), 0, 9, 9]}, "with JSON that says no box and probabilities"),
        ({"box": [0, 0, -9, 9]}, "with JSON that says no box and probabilities"),
        ({"box": [1e300, 0, 9, 9], "pictures": "full"}, "with a box outside the picture"),
        ({"probabilities": {}}, "with JSON that says no box and probabilities"),
        ({"probabilities": {"with_mask": float("nan")}}, "with JSON that says no box and probabilities"),
        ({"probabilities": {"with_mask": 7}}, "with JSON that says no box and probabilities"),
        ({"probabilities": {"hat": 0.5, "no_hat": 0.5}}, "with other labels than --labels"),
    ],
)
def test_a_hostile_json_is_left_out_and_the_others_go_on(device: Path, about: dict[str, object], reason: str) -> None:
    words = save(device, "hostile", face(7), (0.4, 0.3, 0.3)).with_suffix(".json")
    words.write_text(json.dumps(json.loads(words.read_text()) | about))
    found = snapshots.read([device], LABELS)
    assert found.left_out == {reason: 1}
    assert len(found.snapshots) == 4


def test_a_json_without_end_is_left_out(device: Path) -> None:
    save(device, "deep", face(7), (0.4, 0.3, 0.3)).with_suffix(".json").write_text("[" * 200_000)
    assert sum(snapshots.read([device], LABELS).left_out.values()) == 1


def test_a_date_that_is_a_path_leads_nowhere(tmp_path: Path) -> None:
    save(tmp_path / "device", "a", face(7), (0.4, 0.3, 0.3), at="../../out/")
    out = tmp_path / "deep" / "picked"
    assert main(["pick", str(tmp_path / "device"), "--out", str(out)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"device", "deep"}
    assert [path.name[:8] for path in (out / "images").iterdir()] == ["undated-"]


def test_picked_snapshots_go_out_and_their_labels_come_back(device: Path, tmp_path: Path) -> None:
    out = tmp_path / "picked"
    assert main(["pick", str(device), "--out", str(out)]) == 0
    tasks = json.loads((out / labelling.STUDIO).read_text())
    for task in tasks:  # a person confirms the first guess and corrects the label
        region = task["predictions"][0]["result"][0]
        region["value"]["rectanglelabels"] = ["mask_weared_incorrect"]
        task["annotations"] = [{"was_cancelled": False, "result": [region]}]
    export = tmp_path / "export.json"
    export.write_text(json.dumps(tasks))
    back = tmp_path / "back"
    assert main(["pick", "--labelled", str(export), "--images", str(out / "images"), "--out", str(back)]) == 0
    read = list(read_coco(out / "images", back / "annotations.json"))
    assert {item.alias for item in read} == {"mask_weared_incorrect"}
    sent = json.loads((out / labelling.COCO).read_text())["annotations"]
    for item, was in zip(read, sent, strict=True):
        assert item.box is not None
        assert item.box.rounded() == tuple(was["bbox"])


def test_the_set_that_came_back_is_one_a_dataset_file_can_name(device: Path, tmp_path: Path) -> None:
    import tomllib

    from train.data.dataset import SetConfig

    out, back = tmp_path / "picked", tmp_path / 'the "odd" set'
    main(["pick", str(device), "--out", str(out)])
    main(["pick", "--labelled", str(out / labelling.COCO), "--images", str(out / "images"), "--out", str(back)])
    part = SetConfig.model_validate(tomllib.loads((back / "set.toml").read_text())["set"][0])
    assert part.name == 'the "odd" set'
    assert Path(part.annotations).is_file()
    assert set(part.classes) == set(LABELS)


def test_what_was_picked_before_is_not_picked_again(
    device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tmp_path / "first"
    main(["pick", str(device), "--out", str(first)])
    assert main(["pick", str(device), "--known", str(first), "--out", str(tmp_path / "second")]) == 66
    assert "none of 4 snapshots is uncertain" in capsys.readouterr().err
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["pick", "--out", "{out}"], 2, "give a device's snapshots folder"),
        (["pick", "{device}", "--out", "{device}"], 2, "is not empty"),
        (["pick", "{device}/nothing", "--out", "{out}"], 66, "no folder"),
        (["pick", "{device}", "--count", "0", "--out", "{out}"], 2, "--count is 0"),
        (["pick", "{device}", "--labels", "a", "--out", "{out}"], 2, "two or more"),
        (["pick", "{device}", "--known", "{device}", "--out", "{out}"], 66, "no coco.json"),
        (["pick", "--labelled", "{device}/none.json", "--images", "{device}", "--out", "{out}"], 66, "no file"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    device: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, says: str
) -> None:
    before = sorted(device.rglob("*"))
    out = tmp_path / "out"
    assert main([word.format(device=device, out=out) for word in words]) == status
    assert says in capsys.readouterr().err
    assert not out.exists()
    assert sorted(device.rglob("*")) == before


def studio(**value: object) -> str:
    """An export of one region."""
    box = {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["hat"]}
    region = {"type": "rectanglelabels", "original_width": 9, "original_height": 9, "value": box | value}
    return json.dumps([{"data": {"image": "x/?d=images/a.jpg"}, "annotations": [{"result": [region]}]}])


ONE_FACE = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "categories": [{"id": 1, "name": "with_mask"}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
}


@pytest.mark.parametrize(
    ("export", "says"),
    [
        ("{", "neither"),
        ("[]", "no labelled face"),
        (studio(), "label 'hat'"),
        (studio(rotation=30), "rotated"),
        (studio(x="here"), "neither"),
        (studio(x=float("nan")), "neither"),
        (studio(width=-9), "neither"),
        ("[" * 200_000, "neither"),
        (json.dumps(ONE_FACE).replace("a.jpg", "b.jpg"), "no picture"),
        (json.dumps(ONE_FACE).replace("a.jpg", ".."), "no picture"),
        (json.dumps(ONE_FACE).replace("5, 5", "500, 5"), "not inside its 9x9 pixels"),
        (json.dumps(ONE_FACE).replace("5, 5", "NaN, 5"), "neither"),
    ],
)
def test_an_export_that_cannot_be_true_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], export: str, says: str
) -> None:
    path = tmp_path / "export.json"
    cv2.imwrite(str(tmp_path / "a.jpg"), face(1, 9))
    path.write_text(export)
    assert main(["pick", "--labelled", str(path), "--images", str(tmp_path), "--out", str(tmp_path / "back")]) != 0
    assert says in capsys.readouterr().err
    assert not (tmp_path / "back").exists()
