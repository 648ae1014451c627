"""What another account has put somewhere stays as it is, whatever one says to have put there oneself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pressroom.adapters.targets.article import LinkedArticleArguments
from pressroom.adapters.targets.static_site.target import StaticSite, StaticSiteSettings
from pressroom.domain.flows import PublishStep
from pressroom.domain.publishing import Piece
from pressroom.engine.publishing.ledger import settle
from pressroom.pipelines.flow.publish import key_of
from pressroom.store.database import Store
from pressroom.testing import FixedClock
from tests.support.mission_world import START, make_mission
from tests.support.posts import FlakyNetworks, Killed, Newsdesk, add_posts

NINE = START + timedelta(hours=9)


def networks_of(database_url: str, store: Store) -> tuple[Newsdesk, Any, FlakyNetworks]:
    """A mission with a post of which nobody knows whether it arrived, on networks that others use, too."""
    world = make_mission(database_url, store, constraints={"posting_times": ["09:00", "13:00", "18:00"]})
    clock = FixedClock(START - timedelta(hours=1))
    networks = FlakyNetworks(clock)
    desk, run = Newsdesk(world, networks, clock), world.run()
    world.cycle(run)
    add_posts(world, run, [NINE])
    networks.script = ["killed"]
    with pytest.raises(Killed):
        asyncio.run(desk.work(run))
    desk.lapse()
    return desk, run, networks


@pytest.mark.integration
@pytest.mark.parametrize("times", ["at the same time", "at another time"])
def test_a_settled_id_of_somebody_elses_post_takes_nothing_back(
    database_url: str, store: Store, times: str
) -> None:
    """The attack: settle one's own lost post by the id of another's scheduled one, then roll back."""
    desk, run, networks = networks_of(database_url, store)
    [lost] = networks.submitted
    arguments = lost.arguments.model_copy(update={"text": "A post of somebody else"})
    at = NINE if times == "at the same time" else NINE + timedelta(hours=4)
    theirs = networks.keep(replace(lost, key="theirs", arguments=arguments, at=at))
    [mine] = desk.publications()
    with store.transaction(desk.world.account_id) as tx:
        settle(tx, desk.world.mission_id, mine.id, sent=True, external_id=theirs)
    undone = asyncio.run(desk.undo(run))
    assert networks.withdrawals == []
    assert list(networks.posts) == [theirs]
    assert undone.undone == 0
    assert "not found there: take it back there" in undone.kept[0]


SITE_STEP = PublishStep.model_validate(
    {"name": "out", "type": "publish", "to": "static_site", "mode": "auto"}
)


def page(account: str, html: str) -> Piece[LinkedArticleArguments]:
    """What a flow of the account publishes of a feed's entry that everybody can read."""
    arguments = LinkedArticleArguments(title="The same title", html=html)
    return Piece(key_of(account, "source:1", SITE_STEP), arguments, account=account)


async def test_flows_of_two_accounts_on_one_site_have_a_page_each(tmp_path: Path) -> None:
    """The attack: take up the source of another's page, so that one's own is published in its place."""
    site = StaticSite(StaticSiteSettings(connection="site", folder=tmp_path))
    theirs = await site.publish(page("demo", "<p>Theirs</p>"))
    mine = await site.publish(page("other", "<p>Mine</p>"))
    assert theirs.url != mine.url
    assert theirs.external_id != mine.external_id

    def pages() -> dict[str, bool]:
        texts = {file: file.read_text("utf-8") for file in tmp_path.rglob("*/index.html")}
        return {name: any(name in text for text in texts.values()) for name in ("Theirs", "Mine")}

    assert pages() == {"Theirs": True, "Mine": True}
    await site.publish(page("other", "<p>Mine again</p>"))
    assert pages()["Theirs"]
    assert (await site.find(page("demo", "<p>x</p>"))) == theirs
    assert await site.unpublish(mine.external_id)
    assert pages() == {"Theirs": True, "Mine": False}
