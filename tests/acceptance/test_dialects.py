"""A whole site and a whole mission at servers of three providers that differ most, all at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from pressroom_dev.local.services import LocalServices
from tests.acceptance.campaign import Campaign
from tests.acceptance.conftest import PROVIDERS
from tests.acceptance.newsroom import Newsroom
from tests.acceptance.test_site_pipeline import import_list
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.whole_runs import cents_of

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]


def learned(room: Newsroom) -> bool:
    """Whether the first call got through."""
    return bool(
        room.sql("SELECT 1 FROM model_dialects WHERE connection = %(name)s", name=f"pressroom_{room.slug}")
    )


@pytest.mark.site(*PROVIDERS, *(f"{name}-mission" for name in PROVIDERS))
def test_a_site_and_a_mission_are_whole_at_three_providers(
    services: LocalServices, providers: Mapping[str, ScriptedOpenAI], keywords_file: Path
) -> None:
    with ExitStack() as stack:
        sites = [stack.enter_context(Newsroom(name, services, server)) for name, server in providers.items()]
        missions = [
            stack.enter_context(Campaign(f"{site.slug}-mission", services, site.model)) for site in sites
        ]
        for site in sites:
            import_list(site, keywords_file)
        site_runs = [site.trigger() for site in sites]
        for site in sites:
            site.until(partial(learned, site), "the first call", 120)
        mission_runs = [mission.trigger() for mission in missions]
        for mission, run in zip(missions, mission_runs, strict=True):
            # Time passes for all three at once, so none may still be at its publishing.
            mission.until(partial(mission.stage_is, run, "analytics"), "the posts to be planned", 240)
        for mission, run in zip(missions, mission_runs, strict=True):
            assert mission.finish_cycle(run) == "success", mission.events()[-8:]
            assert mission.run_status(run) == "completed"
            planned = mission.outputs(run)["intake"]["cycle_context"]["posts_planned"]
            assert mission.number("posts", "status = 'published'") == mission.number("posts") == planned
            assert mission.number("slots") == planned
            # The two days end at midnight: late on a day there is room for one post, else for two.
            assert planned in (1, 2)
        for site, run in zip(sites, site_runs, strict=True):
            assert site.finish(run) == "success", site.events()[-8:]
            assert site.run_status(run) == "completed"
            assert site.count("keywords", "status <> 'clustered'") == 0
            assert site.count("contents", "status = 'review'") == site.count("contents") == 2
            assert site.count("images", "status <> 'generated'") == 0
        for site in sites:
            paid_once(site)


def paid_once(site: Newsroom) -> None:
    """Both accounts have paid what the provider says it used, and one call at most in vain."""
    used = [entry["usage"] for entry in site.model.script.journal if entry.get("usage")]
    [(spent, wasted)] = site.sql(
        "SELECT sum(cents), count(*) FILTER (WHERE outcome <> 'ok' AND cents > 0)::int FROM ai_calls"
        " WHERE connection = %(name)s",
        name=f"pressroom_{site.slug}",
    )
    accounts = [site.slug, f"{site.slug}-mission"]
    [(entered,)] = site.sql(
        "SELECT sum(cents) FROM ledger JOIN accounts ON accounts.id = ledger.account_id"
        " WHERE accounts.slug = ANY(%(accounts)s)",
        accounts=accounts,
    )
    assert entered == spent
    assert Decimal(spent) == cents_of(used)
    assert wasted <= 1
