"""POST /predict and /batch_predict: pictures in, what `edge-agent predict --json` prints out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge_agent.web.bodies import FORM_OVERHEAD_BYTES, Body
from edge_agent.web.guard import client_address
from edge_agent.web.held import HeldResponse
from edge_agent.web.problems import Problem
from edge_agent.web.reading import chunks, read_body

if TYPE_CHECKING:
    from edge_agent.web.app import Web

MULTIPART = "multipart/form-data"
RAW = ("image/jpeg", "image/png", "image/webp", "image/bmp", "application/octet-stream")
LONGEST_NAME = 255


class _InMemory(MultiPartParser):
    spool_max_size = 2**31  # a stranger's picture is never written to disk; the bound on the body bounds the memory


async def predict(web: Web, request: Request) -> Response:
    """One picture: as the body, or as the one file of a form."""
    kind, most_bytes = _media_type(request), web.config.max_image_bytes
    bound = f"{most_bytes / 1e6:g} MB (http.max_image_bytes)"
    web.predictions.check_place()
    with web.bodies.held(client_address(request.scope)) as body:
        if kind == MULTIPART:
            files = await _form_files(request, body, most_bytes + FORM_OVERHEAD_BYTES, 1, bound)
            name, data = files[0]
        elif kind in RAW:
            name, data = "image", await read_body(request, body, most_bytes, bound)
        else:
            raise _unsupported(kind)
        with web.predictions.place():
            answer = await web.predictions.predict(data, name)
    return JSONResponse(answer.json, headers={"server-timing": f"predict;dur={answer.seconds * 1e3:.1f}"})


async def batch_predict(web: Web, request: Request) -> Response:
    """Many pictures of a form; one JSON line each, in order, as soon as it is known. A bad one stops no other."""
    kind = _media_type(request)
    if kind != MULTIPART:
        raise _unsupported(kind, (MULTIPART,))
    async with AsyncExitStack() as stack:
        web.predictions.check_batch_place()
        body = stack.enter_context(web.bodies.held(client_address(request.scope)))
        bound = f"{web.config.max_batch_bytes / 1e6:g} MB at once (http.max_batch_bytes)"
        files = await _form_files(request, body, web.config.max_batch_bytes, web.config.max_batch_files, bound)
        stack.enter_context(web.predictions.batch_place())
        return HeldResponse(_lines(web, files), stack.pop_all(), "application/x-ndjson")


async def _lines(web: Web, files: list[tuple[str, bytes]]) -> AsyncIterator[bytes]:
    while files and not web.closing:
        name, data = files.pop(0)
        try:
            line = (await web.predictions.predict(data, name)).json
        except Problem as error:
            line = {"image": name, "error": f"{error.detail}; {error.remedy}"}
        yield json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


async def _form_files(
    request: Request, body: Body, most_bytes: int, most_files: int, bound: str
) -> list[tuple[str, bytes]]:
    """The files of a form: name and bytes, in order. Raises Problem 413 or 422, and as `chunks` does."""
    try:
        parser = _InMemory(
            request.headers,
            chunks(request, body, most_bytes, bound),
            max_files=most_files,
            max_fields=8,
            max_part_size=4096,
        )
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many" in error.message:
            raise Problem(413, error.message.rstrip("."), f"send at most {most_files} at once") from error
        raise Problem(422, error.message, "send multipart/form-data with a boundary and files") from error
    except (KeyError, UnicodeDecodeError) as error:
        raise Problem(422, "the form has no boundary or odd headers", "send multipart/form-data") from error
    try:
        files = [
            ((value.filename or "image")[:LONGEST_NAME], await value.read())
            for _, value in form.multi_items()
            if isinstance(value, UploadFile)
        ]
    finally:
        await form.close()
    if not files:
        raise Problem(422, "the form has no file", "send pictures as files, for instance curl -F image=@door.jpg")
    return files


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _unsupported(kind: str, wanted: tuple[str, ...] = (MULTIPART, *RAW)) -> Problem:
    said = f"{kind!r} is not taken here" if kind else "the request has no Content-Type"
    return Problem(415, said, f"send {', '.join(wanted)}", {"accept": ", ".join(wanted)})


ROUTES = [
    ("/predict", "POST", predict),
    ("/batch_predict", "POST", batch_predict),
]
