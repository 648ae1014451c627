"""The services of this machine with the example definitions, and `up`, which keeps them running."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pressroom.definitions.applying import Action, apply
from pressroom.definitions.importing import import_keywords
from pressroom.definitions.keyword_lists import read_list
from pressroom.definitions.loading import load
from pressroom.engine import audit
from pressroom.store.database import Store
from pressroom.store.migrate import migrate
from pressroom.store.workflows import workflow
from pressroom_dev.local.model_server import GGUF
from pressroom_dev.local.packaged_model import BETTER, cache_folder, obtain
from pressroom_dev.local.processes import LocalServiceError
from pressroom_dev.local.running import Report
from pressroom_dev.local.services import PROJECT, LocalServices

EXAMPLES = PROJECT / "examples"
EXAMPLE_SITE = "home-coffee"

Root = Annotated[Path, typer.Option(help="where data, logs and secrets are kept")]


class LocalModel(StrEnum):
    """A language model that this machine serves, whatever other model is set up."""

    SMALL = "small"
    BETTER = "better"


Model = Annotated[
    LocalModel | None,
    typer.Option(
        help="the model that this machine serves: small (135 million parameters, comes with the setup) or"
        " better (1.5 billion, fetched once, 1.1 GB); without it the model that is set up, else the small one"
    ),
]


def up(root: Root = Path(".pressroom"), model: Model = None) -> None:
    """Start everything, print where it is, and stay until Ctrl-C."""
    console = Console(highlight=False)
    with services_at(root, console, model=model) as services:
        info = services.info
        console.print(
            f"\n  Airflow    [bold]{info.airflow_url}[/]"
            f"\n  user       {info.airflow_user}"
            f"\n  password   {info.airflow_password}"
            f"\n  database   in {root / 'local.json'}"
            f"\n  logs       {info.logs}\n\nCtrl-C ends it.",
            soft_wrap=True,
        )
        try:
            services.wait()
        except KeyboardInterrupt:
            console.print("ending")


def services_at(
    root: Path,
    console: Console,
    *,
    model: LocalModel | None = None,
    example: bool = False,
    extra_env: Mapping[str, str] | None = None,
    prepared: Callable[[Store], None] = lambda store: None,
) -> LocalServices:
    """The services of this machine. ``prepared``: called with the store before Airflow starts.

    Fetches the better model when it is asked for and not here. Raises LocalServiceError.
    """

    def report(service: str, message: str) -> None:
        console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {service:<10} {message}", soft_wrap=True)

    def prepare(url: str) -> None:
        applied = migrate(url)
        if applied:
            report("pressroom", f"schema: {', '.join(applied)}")
        with Store(url) as store:
            if example:
                _apply_example(store, report)
            prepared(store)

    return LocalServices(
        root,
        report=report,
        prepare=prepare,
        extra_env={**(extra_env or {}), **served(model, report)},
        model=None if model is None else True,
    )


def served(model: LocalModel | None, report: Report) -> dict[str, str]:
    """The variables that name the file of the chosen model."""
    if model is None:
        return {}
    if os.environ.get(GGUF):
        raise LocalServiceError(f"{GGUF} names a model, and so does MODEL={model}: leave one of them out.")
    if model is LocalModel.SMALL:
        return {}
    return {GGUF: str(obtain(BETTER, cache_folder(os.environ), lambda message: report("model", message)))}


def _apply_example(store: Store, report: Report) -> None:
    changes = apply(store, load(EXAMPLES))
    changed = [f"{change.kind} {change.slug}" for change in changes if change.action is not Action.UNCHANGED]
    report("pressroom", f"examples applied: {', '.join(changed) or 'nothing has changed'}")
    with store.transaction() as tx:
        row = workflow(tx, EXAMPLE_SITE)
    listed = read_list((EXAMPLES / "keywords.csv").read_bytes(), "keywords.csv")
    imported = import_keywords(store, row.account_id, row.workflow_id, listed, audit.by("demo"))
    report("pressroom", f"keywords: {imported.added} added, {imported.duplicates} known already")


def say_who_wrote(console: Console, models: Sequence[str]) -> None:
    """Print the models' names, and what a model of this machine is good for."""
    if any("SmolLM2-135M" in model for model in models):
        console.print(
            "[yellow]Written by the bundled SmolLM2-135M, a model of 135 million parameters: it shows the"
            " machinery, its sentences mean little.[/]"
            " MODEL=better fetches an open model that writes to be read; or set OPENAI_BASE_URL and"
            " OPENAI_API_KEY, or PRESSROOM_GGUF."
        )
    elif any(model.endswith(Path(BETTER.file).stem) for model in models):
        console.print(
            f"Written by {BETTER.title}, an open model of 1.5 billion parameters, on this machine:"
            " its sentences can be read, its facts are not to be trusted."
        )
    elif models:
        console.print(f"Written by {', '.join(models)}.")
