"""The API in OpenAPI's words: made from the models and the query models that the routes themselves use."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from edge_agent import __version__
from edge_agent.config import HttpConfig
from edge_agent.web import examples
from edge_agent.web.api import EventsQuery, HistoryQuery
from edge_agent.web.models import MODELS
from edge_agent.web.streams import LiveQuery
from edge_agent.web.uploads import MULTIPART, RAW

Json = dict[str, Any]
REF = "#/components/schemas/{model}"

PROBLEMS = {
    "400": "the sender went away or the request is broken",
    "401": "the token is missing or wrong",
    "403": "off by configuration, or asked for by another site",
    "404": "there is no such thing",
    "408": "the body did not come in time",
    "413": "too many bytes, pixels or files",
    "415": "not a kind of content that is taken",
    "421": "the Host header does not name this device",
    "422": "the content or a parameter is wrong",
    "429": "too many at once; Retry-After says when",
    "503": "not now; Retry-After says when",
}
EVERYWHERE = ("400", "401", "403", "421", "429")


def document(config: HttpConfig, version: str) -> Json:
    """The OpenAPI document of a server with this configuration."""
    _, schemas = models_json_schema([(model, "serialization") for model in MODELS], ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Maskwatch",
            "version": version or "0",
            "description": "What a camera device sees and decides, and predictions for pictures of your own.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"session": []}, {}],
        "paths": {**_state(), **_past(), **_pictures(), **_predictions(config)},
        "components": {
            "schemas": schemas["$defs"],
            "responses": {code: _problem(words) for code, words in PROBLEMS.items()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "needed where http.token_file is set"},
                "session": {"type": "apiKey", "in": "cookie", "name": "maskwatch", "description": "after POST /login"},
            },
        },
    }


def _state() -> Json:
    healthy = _json("HealthBody", "people are counted", examples.HEALTHY)
    failing = _json("HealthBody", "people are not counted", examples.FAILING)
    ready = _json("ReadyBody", "a frame was processed, or it is known why not", examples.READY)
    not_ready = _json("ReadyBody", "not yet", examples.NOT_READY)
    free = {"type": "object", "additionalProperties": True}
    return {
        "/health": _get("health", "Whether the agent works, with reasons", {"200": healthy, "503": failing}),
        "/ready": _get("ready", "Whether the first frame was processed", {"200": ready, "503": not_ready}),
        "/metrics": _get(
            "metrics",
            "Prometheus metrics",
            {"200": _content("text/plain", {"type": "string"}, example=examples.METRICS)},
        ),
        "/model_info": _get(
            "modelInfo", "Manifests of classifier and detector", {"200": _content("application/json", free)}
        ),
        "/stats": _get(
            "stats", "The stats as they last went out over MQTT", {"200": _content("application/json", free)}
        ),
        "/now": _get("now", "People in view, cameras, health", {"200": _json("NowBody", "now")}),
    }


def _past() -> Json:
    stream = _content("text/event-stream", {"type": "string"}, "events now, visit, stats, summary, bye")
    return {
        "/history": _get(
            "history",
            "Visits by verdict over time, and compliance",
            {"200": _json("HistoryBody", "history"), **_problems("422", "503")},
            _parameters(HistoryQuery),
        ),
        "/events": _get(
            "events",
            "Past events, newest first",
            {"200": _json("EventsBody", "a page"), **_problems("422", "503")},
            _parameters(EventsQuery),
        ),
        "/events/stream": _get("changes", "Changes as server-sent events", {"200": stream}),
    }


def _pictures() -> Json:
    jpeg = _content("image/jpeg", {"type": "string", "format": "binary"})
    parts = _content("multipart/x-mixed-replace", {"type": "string", "format": "binary"}, "JPEG parts without end")
    snapshot_id = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    refused = _problems("404", "422", "503")
    return {
        "/snapshots/{id}": _get(
            "snapshot", "The best picture of a visit", {"200": jpeg, **_problems("404")}, [snapshot_id]
        ),
        "/live.jpg": _get("still", "The newest picture", {"200": jpeg, **refused}, _parameters(LiveQuery)),
        "/live.mjpg": _get("live", "Pictures as they come", {"200": parts, **refused}, _parameters(LiveQuery)),
    }


def _predictions(config: HttpConfig) -> Json:
    picture = {"type": "string", "format": "binary"}
    one = {"type": "object", "properties": {"image": picture}, "required": ["image"]}
    many = {"type": "object", "properties": {"images": {"type": "array", "items": picture}}, "required": ["images"]}
    refused = _problems("408", "413", "415", "422", "503")
    bounds = f"at most {config.max_image_bytes} bytes and {config.max_image_pixels} pixels a picture"
    answer = _json("PredictionBody", "what `edge-agent predict --json` prints")
    words = "a JSON line a picture, in order, as soon as known"
    lines = _content("application/x-ndjson", {"type": "string"}, words, examples.LINES)
    return {
        "/predict": {
            "post": {
                "operationId": "predict",
                "summary": "Look at one picture",
                "description": f"JPEG, PNG, WebP or BMP; {bounds}.",
                "requestBody": {
                    "required": True,
                    "content": {MULTIPART: {"schema": one}, **{kind: {"schema": picture} for kind in RAW}},
                },
                "responses": {"200": answer, **refused, **_problems(*EVERYWHERE)},
            }
        },
        "/batch_predict": {
            "post": {
                "operationId": "batchPredict",
                "summary": "Look at many pictures",
                "description": (
                    f"At most {config.max_batch_files} files and {config.max_batch_bytes} bytes; {bounds}. "
                    "A line is a BatchLine; a bad picture gives a line with `error`, and the others go on."
                ),
                "requestBody": {"required": True, "content": {MULTIPART: {"schema": many}}},
                "responses": {"200": lines, **refused, **_problems(*EVERYWHERE)},
            }
        },
    }


def _get(operation: str, summary: str, responses: Json, parameters: list[Json] | None = None) -> Json:
    out = {"operationId": operation, "summary": summary, "responses": {**responses, **_problems(*EVERYWHERE)}}
    return {"get": {**out, "parameters": parameters} if parameters else out}


def _parameters(model: type[BaseModel]) -> list[Json]:
    out = []
    for name, schema in model.model_json_schema()["properties"].items():
        choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
        plain = {k: v for k, v in schema.items() if k not in {"anyOf", "title", "description"} and v is not None}
        shape = {**plain, **(choices[0] if choices else {})}
        parameter = {"name": name, "in": "query", "description": schema.get("description", ""), "schema": shape}
        example = {"example": examples.PARAMETERS[name]} if name in examples.PARAMETERS else {}
        out.append({**parameter, **example})
    return out


def _json(model: str, words: str, example: Any = None) -> Json:
    schema = {"$ref": REF.format(model=model)}
    return _content("application/json", schema, words, example or examples.ANSWERS.get(model))


def _content(kind: str, schema: Json, words: str = "the answer", example: Any = None) -> Json:
    shown = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"description": words, "content": {kind: shown}}


def _problem(words: str) -> Json:
    return _content("application/problem+json", {"$ref": REF.format(model="ProblemBody")}, words)


def _problems(*codes: str) -> Json:
    return {code: {"$ref": f"#/components/responses/{code}"} for code in codes}


def main() -> None:
    """Print the description of a server with the default configuration; docs/openapi.json is made so."""
    print(json.dumps(document(HttpConfig(), __version__), indent=1))


if __name__ == "__main__":
    main()
