"""Pictures of strangers: bounds first, then one at a time."""

from __future__ import annotations

import json
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.config import HttpConfig
from edge_agent.errors import ModelError
from edge_agent.web import WebSources
from edge_agent.web.images import decode, picture_size
from edge_agent.web.problems import Problem
from web_support import BrightFaces, encoded, picture, running

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture
def faces():
    return BrightFaces()


@pytest.fixture
def on(faces):
    with running(sources=WebSources(predictor=lambda: faces)) as running_server:
        yield running_server


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + b"\0" * 64


@pytest.mark.parametrize(("suffix", "kind"), [(".jpg", "jpeg"), (".png", "png"), (".webp", "webp"), (".bmp", "bmp")])
def test_a_picture_as_the_body_gives_what_predict_prints(on, suffix, kind):
    answer = on.client.post("/predict", content=encoded(picture(), suffix), headers={"content-type": f"image/{kind}"})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"image", "faces"}
    assert np.allclose(body["faces"][0]["box"], [100, 60, 80, 90], atol=8)
    assert answer.headers["server-timing"].startswith("predict;dur=")


def test_a_form_keeps_the_files_name(on):
    answer = on.client.post("/predict", files={"image": ("Tür 1.jpg", encoded(picture()), "image/jpeg")})
    assert answer.json()["image"] == "Tür 1.jpg"


def test_a_picture_without_faces_is_an_answer_too(on):
    assert on.client.post("/predict", content=encoded(picture(face=None)), headers=JPEG).json()["faces"] == []


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\xff\xd8\xff\xe0", encoded(picture(), ".png")[:60], b"BM" + b"\0" * 20]
)
def test_what_is_no_picture_is_422_with_a_remedy(on, content):
    answer = on.client.post("/predict", content=content, headers=JPEG)
    assert answer.status_code == 422
    assert "JPEG" in answer.json()["remedy"]


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "image/svg+xml", "image/tiff"])
def test_other_kinds_of_content_are_415(on, kind):
    answer = on.client.post("/predict", content=b"x", headers={"content-type": kind})
    assert answer.status_code == 415
    assert "image/jpeg" in answer.headers["accept"]


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31, 2**31), (1_000_000, 30)])
def test_a_decompression_bomb_is_refused_by_its_header(on, faces, size):
    answer = on.client.post("/predict", content=bomb(*size), headers=JPEG)
    assert answer.status_code == 413
    assert "pixels" in answer.json()["detail"]
    assert not faces.threads


def test_too_many_bytes_are_refused_before_they_are_read():
    with running(HttpConfig(port=0, max_image_bytes=1000), WebSources(predictor=BrightFaces)) as on:
        stated = on.client.post("/predict", content=b"x" * 1001, headers=JPEG)
        chunked = on.client.post("/predict", content=(b"x" * 500 for _ in range(3)), headers=JPEG)
    assert (stated.status_code, chunked.status_code) == (413, 413)
    assert stated.json()["remedy"] == "send at most 0.001 MB (http.max_image_bytes)"


def test_predictions_are_made_one_at_a_time_in_one_thread_and_the_rest_is_told_to_wait(faces):
    faces.seconds = 0.15
    with running(HttpConfig(port=0, max_waiting=3), WebSources(predictor=lambda: faces)) as on:
        data = encoded(picture())
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: on.client.post("/predict", content=data, headers=JPEG), range(12)))
    codes = [answer.status_code for answer in answers]
    assert set(codes) == {200, 429}
    assert codes.count(200) >= 3
    assert faces.most_at_once == 1
    assert len(faces.threads) == 1
    assert threading.main_thread().ident not in faces.threads
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


def test_a_picture_that_waits_too_long_gets_503(faces):
    faces.seconds = 1.0
    with running(HttpConfig(port=0, predict_timeout_s=0.2), WebSources(predictor=lambda: faces)) as on:
        answer = on.client.post("/predict", content=encoded(picture()), headers=JPEG)
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_the_predictor_is_made_at_the_first_picture_and_only_once(faces):
    made = []
    with running(sources=WebSources(predictor=lambda: made.append(1) or faces)) as on:
        on.client.get("/now")
        assert made == []
        for _ in range(2):
            on.client.post("/predict", content=encoded(picture()), headers=JPEG)
    assert made == [1]


def test_a_predictor_that_cannot_be_made_is_said_and_the_server_goes_on():
    def broken() -> None:
        raise ModelError("classifier.tflite is truncated; install it again")

    with running(sources=WebSources(predictor=broken)) as on:
        answer = on.client.post("/predict", content=encoded(picture()), headers=JPEG)
        assert answer.status_code == 503
        assert "truncated" in answer.json()["detail"]
        assert on.client.get("/health").status_code == 200


def test_models_that_a_reload_brings_and_that_cannot_be_opened_are_no_fault_of_the_picture(faces, monkeypatch):
    def broken(_bgr: np.ndarray, _name: str) -> None:
        raise ModelError("a model file was replaced")

    with running(sources=WebSources(predictor=lambda: faces)) as on:
        monkeypatch.setattr(faces, "predict", broken)
        answer = on.client.post("/predict", content=encoded(picture()), headers=JPEG)
        monkeypatch.undo()
        again = on.client.post("/predict", content=encoded(picture()), headers=JPEG)
    assert (answer.status_code, again.status_code) == (503, 200)
    assert "replaced" in answer.json()["detail"]


def test_predictions_can_be_off():
    with running(HttpConfig(port=0, predict=False), WebSources(predictor=BrightFaces)) as on:
        assert on.client.post("/predict", content=encoded(picture()), headers=JPEG).status_code == 403
        assert on.client.get("/now").json()["predict"] is False


def batch(on, *contents: bytes) -> httpx.Response:
    files = [("images", (f"{n}.jpg", content, "image/jpeg")) for n, content in enumerate(contents)]
    return on.client.post("/batch_predict", files=files)


def test_a_batch_answers_in_order_and_a_bad_picture_stops_no_other(on):
    answer = batch(on, encoded(picture()), b"broken", encoded(picture(face=None)))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line["image"] for line in lines] == ["0.jpg", "1.jpg", "2.jpg"]
    assert [len(line.get("faces", [])) for line in lines] == [1, 0, 0]
    assert "not a picture" in lines[1]["error"]


def test_a_batch_is_streamed(faces):
    faces.seconds = 0.4
    with running(sources=WebSources(predictor=lambda: faces)) as on:
        files = [("images", (f"{n}.jpg", encoded(picture()), "image/jpeg")) for n in range(3)]
        with on.client.stream("POST", "/batch_predict", files=files) as answer:
            lines = answer.iter_lines()
            first = json.loads(next(lines))
            served = on.client.get("/stats").json()["web"]["predictions"]
    assert first["image"] == "0.jpg"
    assert served < 3


def test_a_batch_has_bounds(faces):
    config = HttpConfig(port=0, max_batch_files=2, max_batch_bytes=4000)
    with running(config, WebSources(predictor=lambda: faces)) as on:
        small = encoded(picture(16, 16, None))
        assert batch(on, small, small).status_code == 200
        assert batch(on, small, small, small).status_code == 413
        assert batch(on, b"x" * 5000).status_code == 413
        assert on.client.post("/batch_predict", content=small, headers=JPEG).status_code == 415
        assert on.client.post("/batch_predict", files={}, data={"a": "b"}, headers={}).status_code in {415, 422}


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x"]
)
def test_a_broken_form_is_422(on, kind):
    assert on.client.post("/predict", content=b"--y\r\nbroken", headers={"content-type": kind}).status_code == 422


def test_a_batch_that_nobody_reads_on_frees_its_place(faces):
    faces.seconds = 0.2
    with running(sources=WebSources(predictor=lambda: faces)) as on:
        files = [("images", (f"{n}.jpg", encoded(picture()), "image/jpeg")) for n in range(20)]
        with on.client.stream("POST", "/batch_predict", files=files) as answer:
            next(answer.iter_lines())
        for _ in range(30):
            again = batch(on, encoded(picture()))
            if again.status_code == 200:
                break
            threading.Event().wait(0.1)
    assert again.status_code == 200


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([".jpg", ".png", ".webp", ".bmp"]))
def test_the_size_in_the_header_is_the_size_of_the_picture(width, height, suffix):
    data = encoded(np.zeros((height, width, 3), np.uint8), suffix)
    assert picture_size(data) == (width, height)
    assert decode(data, 10**6).shape == (height, width, 3)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([encoded(picture(), suffix) for suffix in (".jpg", ".png", ".webp", ".bmp")]),
    st.integers(0, 400),
    st.binary(max_size=12),
)
def test_damaged_pictures_are_decoded_or_refused_and_nothing_else(data, at, patch):
    damaged = data[:at] + patch + data[at + len(patch) :]
    assert outcome(damaged) in {"decoded", 413, 422}


def outcome(data: bytes) -> str | int:
    try:
        decode(data, 10**6)
    except Problem as problem:
        return problem.status
    return "decoded"
