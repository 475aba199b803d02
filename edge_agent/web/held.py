"""An answer that holds something, say a place among the viewers, to its last byte or until the reader goes away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class HeldResponse(StreamingResponse):
    """held: is left at the end, also where the reader is gone before `body` has begun (its `finally` would not run)."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        held: AsyncExitStack,
        media_type: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(body, headers=headers, media_type=media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)
