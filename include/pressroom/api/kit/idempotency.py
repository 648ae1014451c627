"""Idempotent calls: a repeated Idempotency-Key gets the first answer again.

The key is saved before the work begins, so that two concurrent calls cannot both do the work. A call whose
server died before the answer can be repeated after a while. The name of a run that the call starts is made of
the key (``run_name``), so that the run cannot start twice.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from pressroom.api.kit.access import Scope
from pressroom.api.kit.problems import MEDIA_TYPE, Problem, problem_of
from pressroom.domain.errors import PressroomError
from pressroom.domain.text import to_json

STALE = timedelta(minutes=2)
"""After this long without an answer, the server that worked on a call counts as dead."""
KEPT = timedelta(days=1)
REPLAYED = "Idempotency-Replayed"


class Idempotency:
    """The key of one request, and a fingerprint of the call."""

    def __init__(self, key: str | None, fingerprint: str) -> None:
        self.key, self.fingerprint = key, fingerprint

    def run_name(self, scope: Scope) -> str:
        """The id of a DAG run that this request starts: the same for the same key."""
        if self.key is None:
            return f"api__{uuid.uuid4().hex}"
        facts = f"{scope.account_id}\0{scope.caller.label}\0{self.key}"
        return f"api__{hashlib.sha256(facts.encode()).hexdigest()[:32]}"

    async def once(self, scope: Scope, status: int, work: Callable[[], Awaitable[Any]]) -> JSONResponse:
        """Do the work and answer with its result, or give the first answer again.

        Raises Problem 409 while the first call is in progress, 422 when the key was used for another call. An
        error of the caller is saved as the answer; after a temporary failure the same key may try again.
        """
        if self.key is None:
            return JSONResponse(jsonable_encoder(await work()), status)
        first_answer = await run_in_threadpool(self._begin, scope)
        if first_answer is not None:
            return first_answer
        try:
            body = jsonable_encoder(await work())
        except (Problem, PressroomError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
            if problem.status < 500 and problem.status != 429:
                details = problem.details().model_dump(exclude_none=True)
                await run_in_threadpool(self._answer, scope, problem.status, details)
            else:
                await run_in_threadpool(self._drop, scope)
            raise
        await run_in_threadpool(self._answer, scope, status, body)
        return JSONResponse(body, status)

    def _facts(self, scope: Scope) -> dict[str, Any]:
        return {"caller": scope.caller.label, "key": self.key}

    def _begin(self, scope: Scope) -> JSONResponse | None:
        facts = self._facts(scope)
        with scope.transaction() as tx:
            tx.run("idempotency_forget", kept=KEPT)
            if tx.value("idempotency_begin", fingerprint=self.fingerprint, stale=STALE, **facts):
                return None
            [first_call] = tx.rows("idempotency_found", **facts)
        if first_call["fingerprint"] != self.fingerprint:
            raise Problem(
                422, "this Idempotency-Key was used for another call", remedy="send a new key with a new call"
            )
        if first_call["status"] is None:
            raise Problem(
                409, "the first call with this Idempotency-Key is still in progress",
                headers={"Retry-After": "1"}, remedy="send it again in a moment",
            )  # fmt: skip
        media = MEDIA_TYPE if first_call["status"] >= 400 else None
        return JSONResponse(
            first_call["body"], first_call["status"], headers={REPLAYED: "true"}, media_type=media
        )

    def _answer(self, scope: Scope, status: int, body: Any) -> None:
        with scope.transaction() as tx:
            tx.run("idempotency_answer", status=status, body=to_json(body), **self._facts(scope))

    def _drop(self, scope: Scope) -> None:
        with scope.transaction() as tx:
            tx.run("idempotency_drop", **self._facts(scope))


async def idempotency_of(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1, max_length=200, description="the same key gives the first answer again, for a day"
        ),
    ] = None,
) -> Idempotency:
    """The request's key."""
    query = json.dumps(sorted(request.query_params.multi_items()))
    facts = f"{request.method}\0{request.url.path.rstrip('/')}\0{query}\0".encode()
    return Idempotency(idempotency_key, hashlib.sha256(facts + await request.body()).hexdigest())


IdempotencyDep = Annotated[Idempotency, Depends(idempotency_of)]
