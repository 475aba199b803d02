"""From a converted flatbuffer to a whole model file: golden inputs, manifest, tolerances that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ValidationError

from edge_agent.detect_tflite import DECODE
from edge_agent.errors import ModelError, UnavailableError
from edge_agent.model_file import (
    Calibration,
    ClassifierPart,
    DetectorPart,
    FacePart,
    Golden,
    GoldenPart,
    InputPart,
    Manifest,
    Metric,
    pack,
)
from edge_agent.runtime import Runtime, open_runtime
from export.convert import Converted
from export.golden import ONE_STEP, Power, choose, powers
from export.runtimes import Trial
from export.source import Source

WIDEST = GoldenPart(count=8, largest_difference=0.3, mean_difference=0.03)
SLACK = 2.0  # devices that were not measured round differently too
LEAST = 0.002, 0.0002
LEAST_QUANTISED = 0.06, 0.01  # kernels of machines that were not at hand round eight bits otherwise
MINIMUM_AGENT = "0.1.0"
THRESHOLD = 0.6
Quantisation = Literal["float32", "float16", "dynamic", "int8"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A model file in the making; `bytes` packs it."""

    flatbuffer: bytes
    manifest: Manifest
    golden: Golden

    @property
    def bytes(self) -> bytes:
        return pack(self.flatbuffer, self.manifest, self.golden)

    def proven(self, trials: Sequence[Trial], faults: Sequence[Power] = ()) -> Draft:
        """With the runtimes it was proven in, and a tolerance that they fit in and faults do not."""
        quantised = self.manifest.quantisation in ("int8", "dynamic")
        least = LEAST_QUANTISED if quantised else LEAST
        for power in faults:  # a small network may move little under a fault: then half of that
            if not (quantised and power.fault in ONE_STEP):
                least = min(least[0], power.apart.largest / 2), min(least[1], power.apart.mean / 2)
        part = tolerances(len(self.golden.small), trials, (max(least[0], 1e-5), max(least[1], 1e-6)))
        ran = sorted({(t.runtime, t.version, t.xnnpack) for t in trials if t.passed})
        lines = tuple(f"{name} {version}, XNNPACK {'on' if xnnpack else 'off'}" for name, version, xnnpack in ran)
        return Draft(self.flatbuffer, self.manifest.model_copy(update={"golden": part, "runtimes": lines}), self.golden)

    def measured(self, metrics: Sequence[Metric]) -> Draft:
        """With figures."""
        return Draft(
            self.flatbuffer,
            self.manifest.model_copy(update={"metrics": (*self.manifest.metrics, *metrics)}),
            self.golden,
        )


def tolerances(count: int, trials: Sequence[Trial], least: tuple[float, float]) -> GoldenPart:
    """What golden outputs may be off: the most that was measured over runtimes, with slack; `least` at least."""
    largest = max([trial.largest for trial in trials if trial.passed], default=0.0) * SLACK
    mean = max([trial.mean for trial in trials if trial.passed], default=0.0) * SLACK
    return GoldenPart(
        count=count,
        largest_difference=min(WIDEST.largest_difference, max(least[0], largest)),
        mean_difference=min(WIDEST.mean_difference, max(least[1], mean)),
    )


def faults(draft: Draft, runtime: Runtime) -> list[Power]:
    """What the faults that golden inputs have to find would do to the outputs."""
    size = draft.manifest.input
    return powers(draft.golden, runtime.run, size.width_px, size.height_px)


def blind_to(draft: Draft, found: Sequence[Power]) -> list[Power]:
    """Faults that the golden inputs would let pass; none, or the model is not released.

    One step of brightness may move a sure network less than other kernels do: there the check of the input's scale and
    zero point stands for it.
    """
    part = draft.manifest.golden
    loud = [power for power in found if power.fault not in ONE_STEP]
    return [p for p in loud if p.apart.largest <= part.largest_difference and p.apart.mean <= part.mean_difference]


def draft(
    source: Source, converted: Converted, runtime: Runtime, name: str, version: str, detail: dict[str, Any]
) -> Draft:
    """A model file with golden inputs chosen for this network; its tolerance is still the widest.

    detail: parameters, normalisation, calibration_crops, calibration_data, tools, maps (of a detector, in the order of
    the outputs).
    """
    _, height, width, _ = runtime.inputs[0].shape
    reference = open_runtime(converted.flatbuffer, xnnpack=False)
    golden = choose(source.kind, runtime.run, reference.run, width, height, source.labels)
    manifest = _manifest(source, converted, (width, height), name, version, detail, len(golden.small))
    return Draft(converted.flatbuffer, manifest, golden)


def check_record(source: Source, name: str, version: str) -> None:
    """Before dear work: does what training recorded and the command line states fit the contract of a model file?

    Raises UsageError or ModelError that names the entry.
    """
    detail = {
        "parameters": 0,
        "normalisation": "",
        "calibration_crops": 0,
        "calibration_data": "",
        "maps": ("score_8",),
        "tools": {},
    }
    nothing = Converted("float32", bytes(16), "plain")
    try:
        _manifest(source, nothing, (64, 64), name, version, detail, WIDEST.count)
        trained = dict(source.record.get("metrics") or {})
        int(trained.get("val_faces", 0))
        [int(count) for count in dict(source.record.get("metrics_n") or {}).values()]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        entry = ".".join(str(part) for part in first["loc"]) or "record"
        given = f" is {first['input']!r}" if first["loc"] else ""
        raise ModelError(f"{source.keras_file}: its {entry}{given}: {first['msg']}") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(f"{source.keras_file}: an entry of its record is of the wrong kind: {error}") from None


def temperature_of(source: Source) -> float:
    """What log-probabilities are divided by; 1 where training recorded none."""
    given = source.record.get("temperature")
    return 1.0 if given is None else float(given)


def _manifest(
    source: Source,
    converted: Converted,
    size_px: tuple[int, int],
    name: str,
    version: str,
    detail: dict[str, Any],
    golden_inputs: int,
) -> Manifest:
    record = source.record
    return Manifest(
        name=name,
        version=version,
        kind=cast(Literal["classifier", "detector"], source.kind),
        labels=source.labels,
        architecture=_word(record),
        parameters=int(record.get("parameters") or detail["parameters"]),
        trained_at=source.trained_at,
        epochs=int(record.get("epochs") or 0),
        input=InputPart(
            width_px=size_px[0],
            height_px=size_px[1],
            normalisation=str(record.get("normalisation") or detail["normalisation"]),
        ),
        quantisation=cast(Quantisation, converted.variant),
        quantisation_detail=_quantisation(converted),
        calibration=Calibration(
            temperature=temperature_of(source), crops=detail["calibration_crops"], data=detail["calibration_data"]
        ),
        classifier=_classifier(source) if source.kind == "classifier" else None,
        detector=_detector(record, detail["maps"]) if source.kind == "detector" else None,
        golden=WIDEST.model_copy(update={"count": golden_inputs}),
        mlflow_run_id=source.run_id,
        tools=detail["tools"],
        minimum_agent_version=MINIMUM_AGENT,
        flatbuffer_sha256="0" * 64,
        flatbuffer_bytes=len(converted.flatbuffer),
    )


def write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    half = path.with_name(f".{path.name}.half")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(content)
        half.replace(path)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}; free some space or give another --out"
        ) from None


def _word(record: dict[str, Any]) -> str:
    name = str(record.get("architecture") or "unknown")
    alpha = record.get("alpha")
    text = f"{name}-{alpha}" if alpha is not None and str(alpha) not in name else name
    return "".join(c if c.isascii() and (c.isalnum() or c in "._+-") else "-" for c in text)[:80]


def _quantisation(converted: Converted) -> str:
    return {
        "float32": "weights and activations in float32",
        "float16": "weights in float16, activations in float32",
        "dynamic": "weights in int8, activations in float32 between layers",
        "int8": f"weights in int8 per channel, activations in int8, ranges: {converted.recipe}",
    }[converted.variant]


def _classifier(source: Source) -> ClassifierPart:
    record = source.record
    if record.get("crop_margin") is None:
        raise ModelError(f"{source.keras_file} comes without a crop margin; give --crop-margin, as it was trained")
    given = record.get("thresholds") or {}
    if isinstance(given, int | float):
        given = {"certain": given}
    certain = float(given.get("certain", THRESHOLD))  # one for all labels, unless a label has its own
    table = {label: float(given.get(label, certain)) for label in source.labels}
    return ClassifierPart(crop_margin=float(record["crop_margin"]), thresholds=table, face=face_of(source))


def face_of(source: Source) -> FacePart | None:
    """How the second output is read, of a classifier that has the face branch."""
    given = source.record.get("face")
    if given is None:
        return None
    if not isinstance(given, dict) or not {"none_below", "sure_from"} <= set(given):
        raise ModelError(
            f"{source.keras_file}: its face is {given!r}; it lacks none_below or sure_from; run train-face again"
        )
    return FacePart(none_below=given["none_below"], sure_from=given["sure_from"])


def _detector(record: dict[str, Any], maps: tuple[str, ...]) -> DetectorPart:
    missing = [key for key in ("decode", "strides", "score_threshold", "nms_iou") if key not in record]
    if missing:
        raise ModelError(f"the detector's model.json lacks {', '.join(missing)}; train.detector writes them")
    if record["decode"] != DECODE:
        raise ModelError(f"the detector's decode is {record['decode']!r}; the agent knows {DECODE!r}")
    return DetectorPart(
        decode=record["decode"],
        strides=tuple(record["strides"]),
        maps=maps,
        score_threshold=float(record["score_threshold"]),
        nms_iou=float(record["nms_iou"]),
    )
