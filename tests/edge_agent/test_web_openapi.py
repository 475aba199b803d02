"""The API keeps to its own description: answers fit their schemas, and no request that it allows breaks the server."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from edge_agent.config import HttpConfig
from edge_agent.web import WebSources, WebState, api, streams, uploads
from edge_agent.web.openapi import document
from web_support import LABELS, BrightFaces, encoded, picture, running, view, visit

ENDLESS = ("/live.mjpg", "/events/stream")


@pytest.fixture(scope="module")
def on():
    state = WebState(LABELS, device="door", version="0.1.0")
    state.show(view())
    state.note_stats({"frames": 3})
    now = datetime.fromtimestamp(time.time() - 60, UTC).isoformat()
    for number, label in enumerate((*LABELS, "cannot_tell")):
        state.note_event(visit(number, label, now))
    faces = BrightFaces()
    config = HttpConfig(port=0, max_waiting=100)
    with running(config, WebSources(predictor=lambda: faces, snapshot={"visit-1": b"x"}.get), state) as running_server:
        yield running_server


def test_the_description_is_valid(on):
    described = on.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    for schema in described["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_answer_with_a_schema_of_its_own_has_an_example_that_fits_it():
    described = document(HttpConfig(), "1")
    answers = [
        content
        for path in described["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
        for content in response.get("content", {}).values()
        if "$ref" in content["schema"]
    ]
    assert len(answers) >= 8
    for answer in answers:
        jsonschema.validate(answer["example"], {**answer["schema"], "components": described["components"]})


@pytest.mark.parametrize(
    ("path", "model"),
    [("/health", "HealthBody"), ("/ready", "ReadyBody"), ("/now", "NowBody"), ("/history", "HistoryBody"),
     ("/events", "EventsBody"), ("/nothing", "ProblemBody")],
)  # fmt: skip
def test_answers_fit_their_schemas(on, path, model):
    described = on.client.get("/openapi.json").json()
    schema = {"$ref": f"#/components/schemas/{model}", "components": described["components"]}
    jsonschema.validate(on.client.get(path).json(), schema)


def test_a_batch_line_fits_its_schema(on):
    described = on.client.get("/openapi.json").json()
    schema = {"$ref": "#/components/schemas/BatchLine", "components": described["components"]}
    files = [("images", (name, data, "image/jpeg")) for name, data in (("a", encoded(picture())), ("b", b"bad"))]
    for line in on.client.post("/batch_predict", files=files).text.splitlines():
        jsonschema.validate(json.loads(line), schema)


def test_every_route_is_described_except_the_page_itself():
    routed = {path for part in (api, streams, uploads) for path, _, _ in part.ROUTES}
    assert routed - {"/openapi.json"} == set(document(HttpConfig(), "1")["paths"])


def test_the_description_says_the_bounds_that_hold():
    described = document(HttpConfig(max_image_bytes=1234), "1")
    assert "1234 bytes" in described["paths"]["/predict"]["post"]["description"]


API = schemathesis.openapi.from_dict(document(HttpConfig(), "1")).exclude(path=list(ENDLESS))
ASKED = API.include(method="GET")
SENT = API.include(method="POST")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
    allow_header_conformance,
]
FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@ASKED.parametrize()
@FUZZ
def test_what_the_description_allows_is_answered_and_what_it_forbids_is_refused(on, case):
    checks = [*CHECKS, positive_data_acceptance, negative_data_rejection]
    case.call_and_validate(base_url=on.server.url, checks=checks, timeout=20)


@SENT.parametrize()
@FUZZ
def test_no_upload_that_a_fuzzer_makes_of_the_description_breaks_the_server(on, case):
    # A schema can say of a picture only that it is bytes: most of what fits it is rightly refused with 422.
    case.call_and_validate(base_url=on.server.url, checks=CHECKS, timeout=20)
