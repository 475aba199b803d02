"""Model files that were damaged, altered or made to harm: each is refused in one line, and no runtime sees it."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import warnings
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.errors import MaskwatchError, ModelError, NotFoundError
from edge_agent.model_file import ClassifierPart, Golden, GoldenPart, InputPart, Manifest, load, pack, read
from edge_agent.model_file import golden as golden_set

LABELS = ("with_mask", "without_mask", "mask_weared_incorrect")
SIZE = 32
FLATBUFFER = b"\x1c\x00\x00\x00TFL3" + np.random.default_rng(3).integers(0, 256, 3000, dtype=np.uint8).tobytes()
PATH = Path("model.tflite")


def make_manifest(**changes: object) -> Manifest:
    values: dict[str, object] = {
        "name": "test",
        "version": "1.2.3",
        "kind": "classifier",
        "labels": LABELS,
        "architecture": "Tiny",
        "parameters": 10,
        "trained_at": datetime(2026, 1, 2, tzinfo=UTC),
        "epochs": 1,
        "input": InputPart(width_px=SIZE, height_px=SIZE),
        "quantisation": "int8",
        "classifier": ClassifierPart(crop_margin=0.1, thresholds=dict.fromkeys(LABELS, 0.6)),
        "golden": GoldenPart(count=32, largest_difference=0.02, mean_difference=0.002),
        "minimum_agent_version": "0.1.0",
        "flatbuffer_sha256": "0" * 64,
        "flatbuffer_bytes": 16,
    }
    return Manifest.model_validate(values | changes)


def make_golden(count: int = 32, labels: tuple[str, ...] = LABELS) -> Golden:
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (count, SIZE // 4, SIZE // 4, 3), dtype=np.uint8)
    return Golden(small, (rng.dirichlet(np.ones(len(labels)), count).astype(np.float32),), labels)


WHOLE = pack(FLATBUFFER, make_manifest(), make_golden())


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A file with any members behind the flatbuffer, and a hash that is right: as someone would forge it."""
    buffer = io.BytesIO()
    buffer.write(FLATBUFFER)
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a", compression) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
        archive.comment = b"0" * 64
    return with_right_hash(buffer.getvalue())


def with_right_hash(whole: bytes) -> bytes:
    return whole[:-64] + hashlib.sha256(whole[:-86]).hexdigest().encode()


def parts() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(**changes: bytes) -> bytes:
    """The sound file with some members replaced; names with a dot come with two underscores."""
    replaced = {name.replace("__", "."): content for name, content in changes.items()}
    return zipped(list((parts() | replaced).items()))


def altered_manifest(**changes: object) -> bytes:
    return json.dumps(json.loads(parts()["manifest.json"]) | changes).encode()


def refusal(data: bytes, **options: str) -> str:
    with pytest.raises(ModelError) as caught:
        read(data, PATH, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("model.tflite")
    assert len(message) < 700
    return message


def test_a_sound_file_is_read() -> None:
    model = read(WHOLE, PATH, "classifier")
    assert model.flatbuffer == FLATBUFFER
    assert model.labels == LABELS
    assert model.sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert model.manifest.flatbuffer_sha256 == hashlib.sha256(FLATBUFFER).hexdigest()


def test_the_same_parts_give_the_same_bytes() -> None:
    assert pack(FLATBUFFER, make_manifest(), make_golden()) == WHOLE


def test_any_unzip_opens_it() -> None:
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.json", "labels.txt", "golden.npz"]
        assert archive.read("labels.txt").decode().split() == list(LABELS)
        with np.load(io.BytesIO(archive.read("golden.npz"))) as arrays:
            assert arrays["inputs"].shape == (32, SIZE // 4, SIZE // 4, 3)


@settings(max_examples=400, deadline=None)
@given(at=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_any_byte_flipped_is_refused(at: int, flip: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= flip
    refusal(bytes(data))


def test_every_byte_of_the_end_flipped_is_refused() -> None:
    for at in range(len(WHOLE) - 90, len(WHOLE)):
        for bit in range(8):
            data = bytearray(WHOLE)
            data[at] ^= 1 << bit
            refusal(bytes(data))


@settings(max_examples=200, deadline=None)
@given(length=st.integers(0, len(WHOLE) - 1))
def test_a_file_cut_at_any_length_is_refused(length: int) -> None:
    assert "cut short" in refusal(WHOLE[:length])


@settings(max_examples=100, deadline=None)
@given(more=st.binary(min_size=1, max_size=300))
def test_a_file_with_something_behind_it_is_refused(more: bytes) -> None:
    refusal(WHOLE + more)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_refused(data: bytes) -> None:
    refusal(data)
    refusal(FLATBUFFER + data)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(["manifest__json", "labels__txt", "golden__npz"]), content=st.binary(max_size=400))
def test_any_content_of_a_member_is_refused_though_the_hash_is_right(name: str, content: bytes) -> None:
    refusal(forged(**{name: content}))


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, len(parts()["golden.npz"]) - 1), flip=st.integers(1, 255))
def test_golden_inputs_with_a_byte_flipped_under_a_right_hash_never_crash(at: int, flip: int) -> None:
    data = bytearray(parts()["golden.npz"])
    data[at] ^= flip
    outcome = ""
    try:
        read(forged(golden__npz=bytes(data)), PATH)
    except ModelError as error:
        outcome = str(error)
    assert "\n" not in outcome


def test_a_bare_tflite_is_told_apart_and_says_how_to_pack_it() -> None:
    assert "python -m export" in refusal(FLATBUFFER + b"\0" * 200)


def test_labels_swapped_in_labels_txt_are_refused() -> None:
    assert "same labels" in refusal(forged(labels__txt=b"without_mask\nwith_mask\nmask_weared_incorrect\n"))


def test_labels_swapped_everywhere_but_in_the_golden_inputs_are_refused() -> None:
    swapped = ["without_mask", "with_mask", "mask_weared_incorrect"]
    data = forged(labels__txt="\n".join(swapped).encode() + b"\n", manifest__json=altered_manifest(labels=swapped))
    assert "same labels" in refusal(data)


def test_a_manifest_of_another_flatbuffer_is_refused() -> None:
    assert "another flatbuffer" in refusal(forged(manifest__json=altered_manifest(flatbuffer_sha256="a" * 64)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema"),
        ({"kind": "detector"}, "kind"),
        ({"surprise": 1}, "surprise"),
        ({"labels": ["a", "a", "b"]}, "twice"),
        ({"labels": []}, "labels"),
        ({"input": {"width_px": 32, "height_px": 32, "colour_order": "BGR", "dtype": "uint8"}}, "colour_order"),
        ({"input": {"width_px": 32, "height_px": 64}}, "square"),
        ({"input": {"width_px": 10**9, "height_px": 10**9}}, "width_px"),
        ({"input": {"width_px": 64, "height_px": 64}}, "size of its input"),
        ({"calibration": {"temperature": 0}}, "temperature"),
        ({"golden": {"count": 32, "largest_difference": 1.0, "mean_difference": 0.02}}, "largest_difference"),
        ({"golden": {"count": 33, "largest_difference": 0.1, "mean_difference": 0.02}}, "number of golden inputs"),
        ({"classifier": {"crop_margin": 0.1, "thresholds": {"nobody": 0.5}}}, "nobody"),
        (
            {"classifier": {"crop_margin": 0.1, "face": {"none_below": 0.3, "sure_from": 0.7}}},
            "do not fit its 3 labels and its answer about faces",
        ),
        (
            {"classifier": {"crop_margin": 0.1, "face": {"none_below": 0.7, "sure_from": 0.7}}},
            "none_below is 0.7 and sure_from 0.7; it has to be more",
        ),
        ({"minimum_agent_version": "99.0.0"}, "update the agent"),
        ({"trained_at": "yesterday"}, "trained_at"),
        ({"name": "../../etc/passwd"}, "name"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused_with_the_reason(change: dict[str, object], words: str) -> None:
    assert words in refusal(forged(manifest__json=altered_manifest(**change)))


def test_a_manifest_nested_without_end_is_refused() -> None:
    refusal(forged(manifest__json=b'{"schema":' * 20_000))


def test_a_manifest_of_100_megabytes_is_refused_without_unpacking_it() -> None:
    assert "100,000,000 bytes" in refusal(forged(manifest__json=b" " * 100_000_000))


def test_a_zip_bomb_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(forged(labels__txt=b"a" * 50_000_000))
    at = data.rindex(b"labels.txt") - 46  # the entry in the directory
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    refusal(with_right_hash(bytes(data)))


def test_a_golden_set_that_unpacks_to_too_much_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("inputs", "labels", "step", "output_0"):
            archive.writestr(f"{name}.npy", b"\0" * 20_000_000)
    assert "too much" in refusal(forged(golden__npz=buffer.getvalue()))


def test_a_golden_array_that_claims_terabytes_takes_no_memory() -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776,), }"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("inputs", "labels", "step", "output_0"):
            archive.writestr(f"{name}.npy", array)
    assert "size it states" in refusal(forged(golden__npz=buffer.getvalue()))


def test_a_golden_array_of_pickled_objects_is_refused() -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer, inputs=np.array([{"a": 1}], dtype=object), labels=np.zeros(1), step=np.ones(1), output_0=np.ones(1)
    )
    assert "golden" in refusal(forged(golden__npz=buffer.getvalue()))


@pytest.mark.parametrize(
    "name", ["../../../etc/cron.d/x", "/etc/passwd", "manifest.json/", "C:\\x", "labels.txt\x00", ""]
)
def test_a_member_with_a_tricky_name_is_refused(name: str) -> None:
    members = list(parts().items())
    refusal(zipped([(name, members[0][1]), *members[1:]]))


def test_a_member_too_many_and_a_member_twice_are_refused() -> None:
    members = list(parts().items())
    assert "4 members" in refusal(zipped([*members, ("extra.txt", b"x")]))
    refusal(zipped([members[0], members[0], members[2]]))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_strange_compression_is_refused(compression: int) -> None:
    assert "strange way" in refusal(zipped(list(parts().items()), compression))


def test_bytes_hidden_between_flatbuffer_and_zip_belong_to_the_flatbuffer_and_break_its_hash() -> None:
    buffer = io.BytesIO()
    buffer.write(FLATBUFFER + b"hidden")
    with zipfile.ZipFile(buffer, "a") as archive:
        for name, content in parts().items():
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.comment = b"0" * 64
    assert "another flatbuffer" in refusal(with_right_hash(buffer.getvalue()))


def test_too_few_golden_inputs_are_refused() -> None:
    part = GoldenPart(count=8, largest_difference=0.02, mean_difference=0.002)
    assert "needs 32" in refusal(pack(FLATBUFFER, make_manifest(golden=part), make_golden(8)))


def test_the_wrong_kind_is_refused_by_name() -> None:
    assert "a detector is wanted" in refusal(WHOLE, kind="detector")


def test_a_model_for_a_newer_agent_is_refused() -> None:
    message = refusal(
        pack(FLATBUFFER, make_manifest(minimum_agent_version="0.2.0"), make_golden()), agent_version="0.1.9"
    )
    assert "0.2.0" in message


def test_a_missing_file_has_the_status_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not there") as caught:
        load(tmp_path / "none.tflite")
    assert caught.value.exit_status == 66


def test_a_folder_for_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MaskwatchError, match=r"directory"):
        load(tmp_path)


def test_a_golden_set_survives_its_bytes() -> None:
    golden = make_golden()
    back = golden_set.from_bytes(golden_set.to_bytes(golden))
    np.testing.assert_array_equal(back.small, golden.small)
    np.testing.assert_array_equal(back.expected[0], golden.expected[0])
    assert back.labels == LABELS
