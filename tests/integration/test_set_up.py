"""What verifying a set-up finds at real services, with nothing spent."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pressroom.domain.definitions import Account, Site
from pressroom.domain.flows import Flow
from pressroom.domain.grants.access import EVERYTHING, Access
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.engine.runs.verifying import verify
from pressroom.pipelines.registry import PUBLISH, pipeline_of
from pressroom.store.database import Store
from pressroom_dev.simulator.audience import Audience
from pressroom_dev.simulator.metricool import build_app
from pressroom_dev.simulator.scheduler import SimulatedScheduler
from tests.support import strict_pinterest
from tests.support.airflow_library import airflow_as_library
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.served import served
from tests.support.strict_pinterest import StrictPinterest
from tests.support.strict_server import served as strictly_served
from tests.support.wordpress import RunningWordPress

with airflow_as_library():
    from pressroom.orchestration.tools.connections import Connections
    from pressroom.orchestration.tools.probe import models_of, verified

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NAMED = {"account": "acme", "slug": "one", "name": "One"}
SITE = Site.model_validate(NAMED)
READ = {"name": "read", "type": "fetch", "source": {"type": "rss", "url": "https://127.0.0.1/feed"}}


def connection(**fields: Any) -> Any:
    empty = dict.fromkeys(("host", "schema", "port", "login", "password"))
    extra = fields.pop("extra", {})
    return SimpleNamespace(**{**empty, "extra_dejson": extra, **fields})


ANYTHING = Access("acme", frozenset({EVERYTHING}))


class Office:
    """A set-up: connections by name, and Airflow variables."""

    def __init__(self, media: Path) -> None:
        self.connections: dict[str, Any] = {}
        self.variables = {"pressroom_media_root": str(media)}

    def verify(self, workflow: Workflow, part: str = "", **account: Any) -> list[tuple[str, str]]:
        """(problem or warning, its line) of all that is found."""
        run = Run(Account(slug="acme", name="Acme", **account), workflow, None, 3, 1, 2, access=ANYTHING)
        read = Connections(self.connections.__getitem__, self.variables.get, (KeyError,))
        store: Any = SimpleNamespace()  # nothing is written, so there is none
        found = verified(store, run, [pipeline_of(workflow, part)], read)
        return [("problem" if finding.problem else "warning", str(finding)) for finding in found]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "media")


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedOpenAI]:
    with ScriptedOpenAI() as server:
        yield server


def text(model: ScriptedOpenAI, name: str = "scripted-1", **extra: Any) -> Any:
    return connection(host=model.base_url, password="k", extra={"model": name, **extra})


def site(**changes: Any) -> Site:
    return Site.model_validate({**NAMED, **changes})


def mission(*platforms: str) -> Mission:
    return Mission.model_validate({**NAMED, "objectives": ["be known"], "platforms": list(platforms)})


def flow(*steps: dict[str, Any], **changes: Any) -> Flow:
    return Flow.model_validate({**NAMED, "steps": list(steps), **changes})


# Models ---------------------------------------------------------------------------------------------------


def test_a_site_whose_model_is_offered_is_ready(office: Office, model: ScriptedOpenAI) -> None:
    office.connections["pressroom_text"] = text(model)
    assert office.verify(SITE) == []
    assert model.script.journal == []
    assert list((Path(office.variables["pressroom_media_root"])).iterdir()) == []


def test_an_unknown_model_is_named_with_those_that_there_are(office: Office, model: ScriptedOpenAI) -> None:
    office.connections["pressroom_text"] = text(model, "scripted-2")
    [(kind, line)] = office.verify(SITE)
    assert kind == "problem"
    assert line.startswith(
        "clusters, ideas, content, image_prompts: connection 'pressroom_text': the server has"
    )
    assert "no model 'scripted-2': name one that it has (scripted-1)" in line
    assert model.script.journal == []


def test_a_missing_connection_is_named_with_the_remedy(office: Office) -> None:
    [(kind, line)] = office.verify(SITE)
    assert kind == "problem"
    assert "the Airflow connection 'pressroom_text' does not exist: add it to airflow_settings.yaml" in line


def test_the_embedding_model_of_a_site_is_checked_where_it_has_one(
    office: Office, model: ScriptedOpenAI
) -> None:
    office.connections["pressroom_text"] = text(model)
    own = site(embeddings={"provider": "openai"})
    [(kind, line)] = office.verify(own)
    assert kind == "problem"
    assert line.startswith("clusters: the Airflow connection 'pressroom_embeddings' does not exist")
    office.connections["pressroom_embeddings"] = text(model, "scripted-2")
    [(kind, line)] = office.verify(own)
    assert (kind, "no model 'scripted-2'" in line) == ("problem", True)
    office.connections["pressroom_embeddings"] = text(model)
    assert office.verify(own) == []
    assert model.script.journal == []


def test_the_models_of_a_run_are_told_with_their_prices_and_what_was_learned(
    office: Office, model: ScriptedOpenAI, store: Store
) -> None:
    prices = {"input_cents_per_million": 40, "output_cents_per_million": 160}
    office.connections["pressroom_text"] = text(model, prices=prices)
    office.connections["pressroom_images"] = text(model, "draws", prices={"cents_per_image": "4.2"})
    office.connections["pressroom_embeddings"] = text(model, "text-embedding-3-small")
    with store.transaction() as tx:
        tx.run(
            "learn_dialect", connection="pressroom_text", server=model.base_url, model="scripted-1",
            learned={"temperature": False},
        )  # fmt: skip
    own = site(images={"provider": "openai"}, embeddings={"provider": "openai"})
    run = Run(Account(slug="acme", name="Acme"), own, None, 3, 1, 2, access=ANYTHING)
    read = Connections(office.connections.__getitem__, office.variables.get, (KeyError,))
    found = models_of(store, run, [pipeline_of(own, "")], read)
    where = "connection 'pressroom_{}'"
    learned = "learned: nothing yet; its first call learns what it takes"
    asked = "asked with: JSON by json_schema, tool calls, system role. learned: no temperature"
    paid, small = "40 in, 160 out (cents a million tokens)", "2 in (cents a million tokens)"
    assert [str(fact) for fact in found] == [
        f"text: scripted-1, {where.format('text')}. price: {paid}. {asked}",
        f"images: draws, {where.format('images')}. price: 4.2 cents a picture. {learned}",
        f"embeddings: text-embedding-3-small, {where.format('embeddings')}. price: {small}",
    ]
    assert all(fact.model and not fact.problem for fact in found)
    office.connections.clear()
    assert models_of(store, run, [pipeline_of(own, "")], read) == []
    assert model.script.journal == []


def test_a_model_that_cannot_be_reached_may_come_back(office: Office) -> None:
    office.connections["pressroom_text"] = connection(
        host="http://127.0.0.1:9/v1", password="not-a-secret", extra={"model": "m"}
    )
    [(kind, line)] = office.verify(SITE)
    assert (kind, "it cannot be verified now" in line, "not-a-secret" in line) == ("warning", True, False)


@pytest.mark.parametrize(
    ("changes", "kind"), [({}, "warning"), ({"caps": {"run_cents": 100}}, "problem")],
    ids=["without a cap", "with a cap that could not hold"],
)  # fmt: skip
def test_an_unknown_price(office: Office, changes: dict[str, Any], kind: str) -> None:
    # Not on this machine: a local server is free.
    office.connections["pressroom_text"] = connection(
        host="http://models.example/v1", password="k", extra={"model": "nobody-knows-it"}
    )

    async def offered(self: object) -> str:
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pressroom.adapters.models.openai_text.OpenAIText.check", offered)
        [(found, line)] = office.verify(site(**changes))
    assert found == kind
    assert "the price of 'nobody-knows-it' is unknown" in line
    assert "put its prices into the connection's extra" in line


def test_a_fallback_is_verified_like_the_first(office: Office, model: ScriptedOpenAI) -> None:
    office.connections["pressroom_text"] = text(model, fallback="spare")
    office.connections["spare"] = text(model)
    assert office.verify(SITE) == []
    office.connections["spare"] = text(model, "scripted-2")
    [(kind, line)] = office.verify(SITE)
    assert (kind, "connection 'spare': the server has no model 'scripted-2'" in line) == ("problem", True)
    del office.connections["spare"]
    [(kind, line)] = office.verify(SITE)
    assert kind == "problem"
    assert "the fallback of connection 'pressroom_text': the Airflow connection 'spare' does not" in line
    office.connections["spare"] = text(model, fallback="pressroom_text")
    [(kind, line)] = office.verify(SITE)
    assert kind == "problem"
    assert "leads back to 'pressroom_text' (pressroom_text → spare → pressroom_text)" in line


def test_a_first_that_is_down_hides_no_wrong_fallback(office: Office, model: ScriptedOpenAI) -> None:
    office.connections["pressroom_text"] = connection(
        host="http://127.0.0.1:9/v1", password="k", extra={"model": "m", "fallback": "spare"}
    )
    office.connections["spare"] = text(model, "scripted-2")
    [(kind, line)] = office.verify(SITE)
    assert (kind, "no model 'scripted-2'" in line) == ("problem", True)


# Media ----------------------------------------------------------------------------------------------------


def test_a_media_root_that_is_shut_is_named(office: Office, model: ScriptedOpenAI, tmp_path: Path) -> None:
    office.connections["pressroom_text"] = text(model)
    occupied = tmp_path / "a file"
    occupied.write_text("x")
    office.variables["pressroom_media_root"] = str(occupied / "media")
    [(kind, line)] = office.verify(SITE)
    assert (kind, "cannot be written" in line) == ("problem", True)
    del office.variables["pressroom_media_root"]
    assert "set the Airflow variable pressroom_media_root" in office.verify(SITE)[0][1]
    assert stat.S_ISREG(occupied.stat().st_mode)


def test_a_storage_that_hangs_holds_a_check_up_no_longer_than_its_bound(
    office: Office, model: ScriptedOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.connections["pressroom_text"] = text(model)
    answered = threading.Event()
    monkeypatch.setattr("pressroom.adapters.storage.media.MediaFiles.check", lambda self: answered.wait(60))
    monkeypatch.setattr("pressroom.orchestration.tools.probe.verify", partial(verify, seconds=1.0))
    begun = time.monotonic()
    try:
        [(kind, line)] = office.verify(SITE)
    finally:
        answered.set()
    assert (kind, "no answer within 1 seconds" in line) == ("warning", True)
    assert time.monotonic() - begun < 15


# Targets --------------------------------------------------------------------------------------------------


def test_a_wordpress_with_a_wrong_password_is_named_and_a_right_one_is_ready(
    office: Office, blog: RunningWordPress
) -> None:
    publishing = site(publish={"targets": [{"to": "wordpress", "settings": {"categories": ["News"]}}]})
    good = connection(host=blog.url, login=blog.user, password=blog.password)
    office.connections["pressroom_wordpress"] = good
    assert office.verify(publishing, PUBLISH) == []
    office.connections["pressroom_wordpress"] = connection(
        host=blog.url, login=blog.user, password="wrong pass"
    )
    [(kind, line)] = office.verify(publishing, PUBLISH)
    assert kind == "problem"
    assert line.startswith("publish: connection 'pressroom_wordpress'")
    assert "wrong pass" not in line
    # Writing needs no target, so it does not ask.
    assert "wordpress" not in str(office.verify(publishing))


def test_a_board_that_is_not_there_and_a_receiver_without_a_secret(office: Office) -> None:
    pin = {
        "name": "pin",
        "type": "publish",
        "to": "pinterest",
        "mode": "auto",
        "settings": {"board": "Recipe"},
    }
    tell = {"name": "tell", "type": "ping", "connection": "hook"}
    with strictly_served(StrictPinterest()) as url:
        office.connections["pressroom_pinterest"] = connection(
            host=f"{url}/v5", password=strict_pinterest.TOKEN
        )
        office.connections["hook"] = connection(host="https://hook.example/x")
        found = office.verify(flow(pin, tell))
    assert [kind for kind, _ in found] == ["problem", "warning"]
    assert "pin: " in found[0][1]
    assert "none named 'Recipe'" in found[0][1]
    assert "did you mean 'Recipes'?" in found[0][1]
    assert "password: there is no secret to sign with" in found[1][1]


def test_a_flow_is_told_what_the_operator_has_to_permit(office: Office, tmp_path: Path) -> None:
    named = flow(READ, allow_hosts=["127.0.0.1"])
    [(kind, line)] = office.verify(named)
    assert kind == "problem"
    assert "leads to a loopback address" in line
    assert "permit it in the Airflow variable pressroom_allow_hosts" in line
    office.variables["pressroom_allow_hosts"] = "127.0.0.1"
    assert office.verify(named) == []

    drafts = tmp_path / "drafts"
    files = flow({**READ, "source": {"type": "files", "path": str(drafts)}})
    assert "pressroom_file_roots" in office.verify(files)[0][1]
    office.variables["pressroom_file_roots"] = str(tmp_path)
    assert "there is no such folder" in office.verify(files)[0][1]
    drafts.mkdir()
    assert office.verify(files) == []


# Missions -------------------------------------------------------------------------------------------------


def test_a_mission_is_told_all_that_is_missing_at_once(office: Office, model: ScriptedOpenAI) -> None:
    office.connections["pressroom_text"] = text(model)
    app = build_app(SimulatedScheduler(None), Audience(3), networks=(Platform.TWITTER,))
    with served(app) as url:
        office.connections["pressroom_metricool"] = connection(
            host=url, extra={"user_id": 7, "blog_id": 42, "simulator": True}
        )
        found = office.verify(mission("twitter", "linkedin"))
        assert [kind for kind, _ in found] == ["problem", "problem"]
        lines = "\n".join(line for _, line in found)
        assert "the brand has no linkedin account connected in Metricool" in lines
        assert "set the Airflow variable pressroom_media_public_url" in lines
        office.variables["pressroom_media_public_url"] = "cdn.example/media"
        assert "is not an http(s) URL" in "\n".join(line for _, line in office.verify(mission("twitter")))
        office.variables["pressroom_media_public_url"] = "https://cdn.example/media"
        assert office.verify(mission("twitter")) == []
    assert model.script.journal == []


@pytest.mark.parametrize("language", ["th", "ja", "de", "हिन्दी"])
def test_local_embeddings_for_another_language_than_english_are_warned_of(
    office: Office, model: ScriptedOpenAI, language: str
) -> None:
    office.connections["pressroom_text"] = text(model)
    [(kind, line)] = office.verify(site(language=language))
    assert kind == "warning"
    assert line.startswith(f"clusters: the site's language is {language!r}")
    office.connections["pressroom_embeddings"] = text(model, prices={"input_cents_per_million": 2})
    assert office.verify(site(language=language, embeddings={"provider": "openai"})) == []
    for english in ("en", "en-GB", "EN_us", "English"):
        assert office.verify(site(language=english)) == []
