"""The bytes of a model file: a flatbuffer, a zip behind it, and a hash over both.

Follows the TFLite metadata convention (associated files in a zip appended to the flatbuffer). The zip's offsets count
from the start of the file, so `unzip -l` opens it without a warning. Written with fixed times and a fixed order: the
same parts give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from edge_agent.errors import ModelError, NotFoundError

MEMBERS = {"manifest.json": 262_144, "labels.txt": 16_384, "golden.npz": 4_194_304}
"""Every member there has to be, in this order, with its largest size unpacked."""
LARGEST_FILE_BYTES = 268_435_456
LARGEST_ZIP_BYTES = 1_000_000
WRITTEN_AT = (1980, 1, 1, 0, 0, 0)

_END = struct.Struct("<4s4H2LH")  # APPNOTE.TXT 4.3.16
_END_MAGIC = b"PK\x05\x06"
_HASH_LENGTH = 64
_TAIL = _END.size + _HASH_LENGTH


def assemble(flatbuffer: bytes, members: Mapping[str, bytes]) -> bytes:
    """A flatbuffer and its members as one file."""
    buffer = io.BytesIO()
    buffer.write(flatbuffer)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name in MEMBERS:
            info = zipfile.ZipInfo(name, WRITTEN_AT)
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
        archive.comment = b"0" * _HASH_LENGTH
    whole = buffer.getvalue()
    digest = hashlib.sha256(whole[:-_TAIL]).hexdigest().encode()
    return whole[:-_HASH_LENGTH] + digest


def read_bytes(path: Path) -> bytes:
    """The file, with errors that name it and no more than `LARGEST_FILE_BYTES` read."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{path} is not there; give the path of a .tflite file made by python -m export") from None
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}; give a .tflite file that this account may read"
        ) from error
    if len(data) > LARGEST_FILE_BYTES:
        raise ModelError(f"{path} is over {LARGEST_FILE_BYTES:,} bytes; that is no model for this agent")
    return data


def take_apart(data: bytes, where: str) -> tuple[bytes, dict[str, bytes]]:
    """The flatbuffer and the members of a model file. Raises ModelError that begins with `where`."""
    end = _end_record(data, where)
    directory_size, directory_at, entries = end
    stated = data[-_HASH_LENGTH:]
    if hashlib.sha256(memoryview(data)[:-_TAIL]).hexdigest().encode() != stated:
        raise ModelError(f"{where}: its bytes do not match the hash in it: it is damaged or was altered; copy it again")
    if directory_at + directory_size != len(data) - _TAIL:
        raise ModelError(f"{where}: the end record of its zip is wrong; copy it again")
    try:
        return _members(data, entries, directory_at, where)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
        KeyError,
    ) as error:
        raise ModelError(f"{where}: its zip cannot be read ({_short(error)}); export it again") from None


def _end_record(data: bytes, where: str) -> tuple[int, int, int]:
    """Size and place of the zip's directory, and how many entries it has."""
    if len(data) < 8 + _TAIL or data[4:8] != b"TFL3":
        raise ModelError(f"{where} is no .tflite file, or cut short; copy it again, or export one")
    magic, disk, first_disk, here, entries, size, at, length = _END.unpack(data[-_TAIL:-_HASH_LENGTH])
    if magic != _END_MAGIC:
        raise ModelError(
            f"{where} ends without its contract: it is cut short, damaged at its end, or a bare .tflite; "
            "copy it again, or pack it with python -m export"
        )
    if (disk, first_disk, length) != (0, 0, _HASH_LENGTH) or here != entries or 0xFFFFFFFF in (size, at):
        raise ModelError(f"{where}: the end record of its zip is wrong; copy it again")
    return size, at, entries


def _members(data: bytes, entries: int, directory_at: int, where: str) -> tuple[bytes, dict[str, bytes]]:
    if entries != len(MEMBERS):
        raise ModelError(f"{where}: its zip has {entries} members, not {len(MEMBERS)}; export it again")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        names = [info.filename for info in infos]
        if names != list(MEMBERS):
            strange = next((name for name in names if name not in MEMBERS), names[0] if names else "")
            raise ModelError(
                f"{where}: its zip has a member {strange[:80]!r} that does not belong there; export it again"
            )
        first = min(info.header_offset for info in infos)
        _no_gaps(infos, first, directory_at, where)
        members = {info.filename: _unpack(archive, info, where) for info in infos}
    return data[:first], members


def _no_gaps(infos: list[zipfile.ZipInfo], first: int, directory_at: int, where: str) -> None:
    """The members lie one after another between the flatbuffer and the directory, sharing no byte."""
    at = first
    for info in infos:
        if info.header_offset != at or info.extra or info.comment:
            raise ModelError(f"{where}: the members of its zip overlap or hide something; export it again")
        at += 30 + len(info.filename) + info.compress_size
    if at != directory_at:
        raise ModelError(f"{where}: the members of its zip overlap or hide something; export it again")


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    limit = MEMBERS[info.filename]
    if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ModelError(f"{where}: {info.filename} in it is encrypted or packed in a strange way; export it again")
    if info.file_size > limit:
        raise ModelError(f"{where}: {info.filename} in it unpacks to {info.file_size:,} bytes, over {limit:,}; refused")
    with archive.open(info) as member:
        content = member.read(limit + 1)
    if len(content) != info.file_size:
        raise ModelError(f"{where}: {info.filename} in it does not have the size it states; export it again")
    return content


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
