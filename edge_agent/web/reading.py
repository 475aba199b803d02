"""Reading what a request brings, within bounds: bytes, time, query parameters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from edge_agent.web.bodies import Body
from edge_agent.web.problems import Problem

Model = TypeVar("Model", bound=BaseModel)
BODY_WITHIN_S = 30.0


async def chunks(request: Request, body: Body, most_bytes: int, bound: str = "") -> AsyncGenerator[bytes, None]:
    """The body as it comes. Raises Problem 413 as soon as it is known to be too large, 408 where it does not come, 429
    where others need its room, 400 where the sender goes away.

    bound: how the sender is told of it; the number itself where it is left out.
    """
    too_large = Problem(413, "this is too large", f"send at most {bound or f'{most_bytes:,} bytes'}")
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > most_bytes:
        raise too_large
    read = 0
    stream = request.stream()
    deadline_s = asyncio.get_running_loop().time() + BODY_WITHIN_S
    while True:
        try:
            chunk = await body.wait(anext(stream, None), deadline_s)
        except TimeoutError:
            raise Problem(408, f"the body did not come within {BODY_WITHIN_S:g} s", "send it faster") from None
        except ClientDisconnect:
            raise Problem(400, "the sender went away", "send the whole body") from None
        if chunk is None:
            body.coming = False
            return
        read += len(chunk)
        if read > most_bytes:
            raise too_large
        body.take(len(chunk))
        yield chunk


async def read_body(request: Request, body: Body, most_bytes: int, bound: str = "") -> bytes:
    """The whole body. Raises Problem as `chunks` does."""
    return b"".join([chunk async for chunk in chunks(request, body, most_bytes, bound)])


def query(request: Request, model: type[Model]) -> Model:
    """The query parameters, checked. Raises Problem 422 that names each wrong one."""
    given = request.query_params
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, one['loc'])) or 'query'}: {one['msg']}" for one in error.errors()]
        raise Problem(422, "; ".join(wrong), "see /openapi.json for the parameters and their bounds") from error
