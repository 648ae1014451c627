"""A stage that writes notes with the real SDK, engine and ledger, against a server that answers by script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel, Field

from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.domain.model import Prompt, Tool
from pressroom.domain.run import Run
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.runs.batch import Report, run_batch
from pressroom.pipelines.stage import Key, Saved, Stage
from pressroom.store.database import Tx
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.world import World

PRICES = {"input_cents_per_million": 1000, "output_cents_per_million": 2000}
"""A cent for a thousand tokens in, or for five hundred out."""
TITLE, BODY = "Hedges", "Cut them in June."


class Note(BaseModel):
    """What the stage asks for."""

    title: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=2000)


class Search(BaseModel):
    """The arguments of a tool."""

    words: str = Field(min_length=1)


def note(title: str = TITLE, body: str = BODY, **extra: Any) -> str:
    """A right answer."""
    return json.dumps({"title": title, "body": body, **extra})


USED = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
PAID = Decimal("0.2")
"""What these tokens cost in cents."""


def completion(
    content: Any = None, *, finish: Any = "stop", usage: Any = USED, message: Any = ..., **more: Any
) -> dict[str, Any]:
    """A provider's body. ``message``: in place of one with the content."""
    if message is ...:
        message = {"role": "assistant", "content": content}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
        **({} if usage is None else {"usage": usage}), **more,
    }  # fmt: skip


def raw(body: Any, status: int = 200, **rule: Any) -> dict[str, Any]:
    """A rule of the server: it answers exactly so."""
    return {"action": "raw", "status": status, "body": body, **rule}


@dataclass
class Seen:
    """What became of one item: what was written, the failure's class, how the calls were booked."""

    note: tuple[str, str] | None
    error: str
    calls: list[tuple[Any, ...]]
    shown: str

    @property
    def booked(self) -> list[str]:
        """The outcomes of the calls."""
        return [call[0] for call in self.calls]

    @property
    def tokens(self) -> tuple[Any, ...]:
        """Those of the first call."""
        return self.calls[0][1:3]


class ModelDesk:
    """Clusters of a site become notes. ``runs`` were begun, ``made`` items were made."""

    def __init__(self, world: World, server: ScriptedOpenAI) -> None:
        self.world, self.server = world, server
        self.runs = self.made = 0
        self.max_tokens = 200

    def items(self, number: int) -> list[Key]:
        """New items of the stage."""
        self.made += number
        rows = self.world.sql(
            "INSERT INTO clusters (account_id, site_id, name, normalized)"
            " SELECT %s, %s, 'c' || n, 'c' || n FROM generate_series(%s::int, %s) AS n RETURNING id",
            self.world.account_id, self.world.site_id, self.made - number + 1, self.made,
        )  # fmt: skip
        return [row[0] for row in rows]

    def answers(self, *rules: Mapping[str, Any]) -> None:
        """From now on the server answers by these rules."""
        self.server.script.update({"rules": list(rules)})

    def settings(self, **extra: Any) -> ConnectionSettings:
        """The connection to the server."""
        more = {"model": "scripted-1", "prices": PRICES, "timeout_seconds": 5, **extra}
        return ConnectionSettings.from_connection(
            "text", host=self.server.base_url, password="sk-test-12345678", extra=more
        )

    def write(
        self,
        keys: Sequence[Key],
        *,
        prompt: Prompt | None = None,
        concurrency: int = 4,
        cap_cents: int | None = None,
        **extra: Any,
    ) -> Report:
        """One batch of a new run. Raises what the task would fail with."""
        self.runs += 1
        run = self.world.run(f"manual__{self.runs}", params={"cap_cents": cap_cents})
        try:
            return asyncio.run(self._work(run, keys, prompt, concurrency, extra))
        finally:
            self.world.sql("UPDATE runs SET status = 'failed', completed_at = now() WHERE id = %s", run.id)

    def choose(self, asked: str) -> list[tuple[str, str]]:
        """The tools that the model chooses, with their words."""

        async def ask() -> list[tuple[str, str]]:
            async with self._engine(self.settings()) as engine:
                scope = CostScope(self.world.account_id, self.world.site_id, run.id, "ideas", "1")
                tool: Tool[Any] = Tool("search", "Look something up", Search)
                chosen = await engine.bound(scope, 0.7).choose(Prompt("choose", "", asked), [tool])
            return [(choice.tool, Search.model_validate(choice.arguments).words) for choice in chosen]

        run = self.world.run("chooses")
        return asyncio.run(ask())

    async def _work(
        self, run: Run, keys: Sequence[Key], prompt: Prompt | None, concurrency: int, extra: dict[str, Any]
    ) -> Report:
        temperature = extra.pop("temperature", 0.7)
        with self.world.store.transaction(self.world.account_id) as tx:
            tx.run("plan_stage", run=run.id, stage="ideas", planned=len(keys), skipped=None)
        async with self._engine(self.settings(**extra)) as engine:
            return await run_batch(
                self._stage(prompt), run, keys, store=self.world.store, concurrency=concurrency,
                tools_for=lambda scope: SimpleNamespace(text=engine.bound(scope, temperature)),
            )  # fmt: skip

    @asynccontextmanager
    async def _engine(self, settings: ConnectionSettings) -> AsyncIterator[TextEngine]:
        async with OpenAIText(settings, dialects=StoredDialects(self.world.store)) as model:
            yield TextEngine(model, self.world.store, text_price(settings, model.model), settings.limits)

    def _stage(self, prompt: Prompt | None) -> Stage[int, Note]:
        def load(tx: Tx, run: Run, keys: Sequence[Key]) -> list[int]:
            rows = self.world.sql(
                "SELECT id FROM clusters WHERE status = 'new' AND id = ANY(%s) ORDER BY id", list(keys)
            )
            return [row[0] for row in rows]

        async def process(item: int, tools: Any) -> Note:
            asked = prompt or Prompt("note", "You write.", f"Write note {item}.", max_tokens=self.max_tokens)
            written: Note = await tools.text.generate(asked, Note)
            return written

        def save(tx: Tx, run: Run, item: int, output: Note) -> Saved:
            tx._connection.execute(
                "UPDATE clusters SET status = 'planned', name = %s, description = %s WHERE id = %s",
                [output.title, output.body, item],
            )
            return Saved(created=1, label=output.title)

        return Stage(
            name="ideas", title="notes", pending=lambda tx, run: [], load=load, process=process, save=save,
            key=str, result_fields={}, charge=lambda run, item: Decimal(2),
        )  # fmt: skip

    def each(self, cases: Mapping[str, Any], **extra: Any) -> dict[str, Seen]:
        """What becomes of an item of its own for each case: a body of a success, or a rule of the server."""
        seen = {}
        for name, case in cases.items():
            before = len(self.calls)
            self.answers(case if "action" in (case or ()) else raw(case))
            [key] = self.items(1)
            error = shown = ""
            try:
                report = self.write([key], **extra)
                if report.waiting:
                    [waiting] = report.waiting
                    error, shown = type(waiting).__name__, str(waiting)
                for failed, text in self.world.sql(
                    "SELECT error_class, error FROM item_failures WHERE item = %s", str(key)
                ):
                    error, shown = failed, text
            except Exception as raised:  # noqa: BLE001
                error, shown = type(raised).__name__, str(raised)
            rows = self.world.sql(
                "SELECT name, description FROM clusters WHERE id = %s AND status = 'planned'", key
            )
            kept = (rows[0][0], rows[0][1]) if rows else None
            seen[name] = Seen(kept, error, self.calls[before:], shown)
        return seen

    @property
    def written(self) -> list[tuple[str, str]]:
        """Title and text of what was saved, in the order of the items."""
        rows = self.world.sql("SELECT name, description FROM clusters WHERE status = 'planned' ORDER BY id")
        return [(row[0], row[1]) for row in rows]

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        """Outcome, tokens and cents of each call that was booked."""
        return self.world.sql(
            "SELECT outcome, prompt_tokens, completion_tokens, cents FROM ai_calls ORDER BY id"
        )

    @property
    def spent(self) -> Any:
        """Cents in the ledger."""
        [[cents]] = self.world.sql("SELECT coalesce(sum(cents), 0) FROM ledger")
        return cents

    @property
    def held(self) -> tuple[Any, ...]:
        """Credits and cents that are still held."""
        [row] = self.world.sql("SELECT coalesce(sum(credits), 0), coalesce(sum(cents), 0) FROM reservations")
        return row

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Class and text of each failure of an item that is on record."""
        rows = self.world.sql("SELECT error_class, error FROM item_failures ORDER BY item")
        return [(row[0], row[1]) for row in rows]

    @property
    def events(self) -> list[tuple[str, str]]:
        """Kind and text of each warning and error in the activity logs."""
        rows = self.world.sql("SELECT kind, message FROM run_events WHERE level <> 'info' ORDER BY id")
        return [(row[0], row[1]) for row in rows]
