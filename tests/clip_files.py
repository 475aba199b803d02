"""Clips whose times a test chooses: OpenCV writes none but at an even rate."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_agent.records import U8


def noise(count: int) -> list[U8]:
    """Pictures whose frames take up many bytes each."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(count)]


def stays(first: int, gap_s: float, then: int, fps: float = 25.0) -> list[float]:
    """Times of a recording that stops for gap_s."""
    return [n / fps for n in range(first)] + [first / fps + gap_s + n / fps for n in range(then)]


def write_mkv(path: Path, pictures: Sequence[U8], times_s: Sequence[float], stated_s: float | None = None) -> Path:
    """JPEG pictures in Matroska (RFC 9559), a cluster each. stated_s: its length; unset: to the end of the last."""
    stated_s = times_s[-1] + 0.04 if stated_s is None else stated_s
    height, width = pictures[0].shape[:2]
    info = _element(0x1549A966, _uint(0x2AD7B1, 1_000_000) + _element(0x4489, struct.pack(">d", stated_s * 1000)))
    size = _element(0xE0, _uint(0xB0, width) + _uint(0xBA, height))
    track = _uint(0xD7, 1) + _uint(0x73C5, 1) + _uint(0x83, 1) + _uint(0x23E383, 40_000_000)
    tracks = _element(0x1654AE6B, _element(0xAE, track + _element(0x86, b"V_MJPEG") + size))
    clusters = b"".join(
        _element(0x1F43B675, _uint(0xE7, round(at_s * 1000)) + _element(0xA3, b"\x81\0\0\x80" + _jpeg(bgr)))
        for bgr, at_s in zip(pictures, times_s, strict=True)
    )
    path.write_bytes(
        _element(0x1A45DFA3, _element(0x4282, b"matroska")) + _element(0x18538067, info + tracks + clusters)
    )
    return path


def write_mp4(path: Path, pictures: Sequence[U8], times_s: Sequence[float]) -> Path:
    """OpenCV's own MP4 with the times of its frames replaced: ISO/IEC 14496-12, 8.6.1.2."""
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    for bgr in pictures:
        writer.write(bgr)
    writer.release()
    data = path.read_bytes()
    moov_at = data.rindex(b"moov") - 4
    moov = data[moov_at:]
    scale = int.from_bytes(moov[moov.index(b"mdhd") + 16 :][:4], "big")
    ticks = [round(at_s * scale) for at_s in [*times_s, times_s[-1] + 0.04]]
    steps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
    stts_at = moov.index(b"stts") - 4
    old_bytes = int.from_bytes(moov[stts_at : stts_at + 4], "big")
    stts = struct.pack(">I4sII", 16 + 8 * len(steps), b"stts", 0, len(steps))
    stts += b"".join(struct.pack(">II", 1, step) for step in steps)
    moov = bytearray(moov[:stts_at] + stts + moov[stts_at + old_bytes :])
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        at = moov.index(box) - 4
        _put(moov, at, int.from_bytes(moov[at : at + 4], "big") + len(stts) - old_bytes)
    length_s = ticks[-1] / scale
    _put(moov, moov.index(b"mdhd") + 20, ticks[-1])
    movie_scale = int.from_bytes(moov[moov.index(b"mvhd") + 16 :][:4], "big")
    _put(moov, moov.index(b"mvhd") + 20, round(length_s * movie_scale))
    _put(moov, moov.index(b"tkhd") + 24, round(length_s * movie_scale))
    if b"elst" in moov:
        _put(moov, moov.index(b"elst") + 12, round(length_s * movie_scale))
    path.write_bytes(data[:moov_at] + moov)
    return path


def _put(data: bytearray, at: int, number: int) -> None:
    data[at : at + 4] = number.to_bytes(4, "big")


def _jpeg(bgr: U8) -> bytes:
    return cv2.imencode(".jpg", bgr)[1].tobytes()


def _element(name: int, content: bytes) -> bytes:
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + (len(content) | 1 << 56).to_bytes(8, "big") + content


def _uint(name: int, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))
