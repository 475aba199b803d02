"""Reading and writing whole model files, with every check that needs no runtime."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from edge_agent import __version__
from edge_agent.errors import ModelError
from edge_agent.model_file import golden as golden_set
from edge_agent.model_file.container import MEMBERS, assemble, read_bytes, take_apart
from edge_agent.model_file.golden import SHRUNK, Golden
from edge_agent.model_file.manifest import Manifest, parse


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model that passed every check but the runtime's.

    sha256: of the whole file, as `sha256sum` prints it.
    """

    path: Path
    sha256: str
    flatbuffer: bytes
    manifest: Manifest
    golden: Golden

    @property
    def labels(self) -> tuple[str, ...]:
        return self.manifest.labels


def pack(flatbuffer: bytes, manifest: Manifest, golden: Golden) -> bytes:
    """A whole model file. The hash and the size of the flatbuffer in the manifest are set here."""
    whole = manifest.model_copy(
        update={"flatbuffer_sha256": hashlib.sha256(flatbuffer).hexdigest(), "flatbuffer_bytes": len(flatbuffer)}
    )
    parts = {
        "manifest.json": whole.to_json(),
        "labels.txt": "".join(f"{label}\n" for label in manifest.labels).encode(),
        "golden.npz": golden_set.to_bytes(golden),
    }
    for name, content in parts.items():
        if len(content) > MEMBERS[name]:
            raise ModelError(f"{name} would have {len(content):,} bytes, over {MEMBERS[name]:,}; make it smaller")
    return assemble(flatbuffer, parts)


def load(path: Path, kind: str | None = None, agent_version: str = __version__) -> ModelFile:
    """The model in a file.

    kind: "classifier" or "detector", where only one will do. Raises NotFoundError, or ModelError that names the fault.
    """
    return read(read_bytes(path), path, kind, agent_version)


def read(data: bytes, path: Path, kind: str | None = None, agent_version: str = __version__) -> ModelFile:
    """The model in the bytes of a file; `path` is for messages."""
    where = str(path)
    flatbuffer, members = take_apart(data, where)
    manifest = parse(members["manifest.json"], where)
    if hashlib.sha256(flatbuffer).hexdigest() != manifest.flatbuffer_sha256:
        raise ModelError(f"{where}: its manifest belongs to another flatbuffer; export it again")
    if len(flatbuffer) != manifest.flatbuffer_bytes:
        raise ModelError(f"{where}: its manifest states another size of the flatbuffer; export it again")
    if kind is not None and manifest.kind != kind:
        raise ModelError(f"{where} is a {manifest.kind}, and a {kind} is wanted here; name another file")
    if _numbers(manifest.minimum_agent_version) > _numbers(agent_version):
        raise ModelError(
            f"{where} needs agent {manifest.minimum_agent_version} or newer, and this is {agent_version}; "
            "update the agent, or keep the older model"
        )
    golden = _golden(members["golden.npz"], where)
    _labels_agree(members["labels.txt"], manifest, golden, where)
    _golden_fits(manifest, golden, where)
    return ModelFile(path, hashlib.sha256(data).hexdigest(), flatbuffer, manifest, golden)


def _golden(content: bytes, where: str) -> Golden:
    try:
        return golden_set.from_bytes(content)
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        RuntimeError,
        EOFError,
        OSError,
        SyntaxError,
        TypeError,
        KeyError,
    ) as error:
        detail = " ".join(str(error).split())[:120]
        raise ModelError(f"{where}: its golden inputs cannot be read ({detail}); export it again") from None


def _labels_agree(text: bytes, manifest: Manifest, golden: Golden, where: str) -> None:
    listed = tuple(text.decode("utf-8", "replace").splitlines())
    if listed != manifest.labels or golden.labels != manifest.labels:
        raise ModelError(
            f"{where}: labels.txt, the manifest and the golden inputs do not list the same labels in the same order; "
            "export it again"
        )


def _golden_fits(manifest: Manifest, golden: Golden, where: str) -> None:
    size = manifest.input
    rows, columns = -(-size.height_px // SHRUNK), -(-size.width_px // SHRUNK)
    if golden.small.shape[1:3] != (rows, columns):
        raise ModelError(f"{where}: its golden inputs do not have the size of its input; export it again")
    if len(golden.small) != manifest.golden.count:
        raise ModelError(f"{where}: it has another number of golden inputs than its manifest says; export it again")
    wanted = 32 if manifest.kind == "classifier" else 8
    if len(golden.small) < wanted:
        raise ModelError(f"{where}: it has {len(golden.small)} golden inputs, and a {manifest.kind} needs {wanted}")
    if manifest.classifier is not None:
        widths = sorted(expected.shape[1] for expected in golden.expected)
        if widths != sorted(manifest.classifier.outputs(len(manifest.labels))):
            raise ModelError(
                f"{where}: its golden outputs do not fit its {len(manifest.labels)} labels"
                f"{' and its answer about faces' if manifest.classifier.face else ''}; export it again"
            )
    if manifest.detector is not None and len(golden.expected) != len(manifest.detector.maps):
        raise ModelError(f"{where}: its golden outputs do not fit the maps it names; export it again")


def _numbers(version: str) -> tuple[int, ...]:
    """1.2.3, 1.2.3.dev4 and 1.2.3+local alike as (1, 2, 3)."""
    parts = []
    for part in version.split("+")[0].split("."):
        if not part.isdecimal():
            break
        parts.append(int(part))
    return tuple(parts[:3])
