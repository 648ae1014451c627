"""The scheduler has people told, in a real Airflow."""

from __future__ import annotations

import pytest

from pressroom.domain.definitions import NoticeChannel
from pressroom.store import notices
from tests.acceptance.newsroom import Newsroom
from tests.acceptance.outside import Outside

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

LONGEST = 300.0
CHANNELS = (
    {"name": "mail", "by": "email", "connection": "pressroom_mail", "to": ["noticed@example.com"]},
    {"name": "hook", "by": "webhook", "connection": "pressroom_desk"},
)


@pytest.mark.site("noticed")
def test_a_failed_run_sends_one_mail_and_one_webhook_with_a_link(
    newsroom: Newsroom, outside: Outside
) -> None:
    with newsroom.store.transaction(newsroom.row.account_id) as tx:
        notices.replace(tx, [NoticeChannel.model_validate(each) for each in CHANNELS])
    newsroom.queue("An article that nobody can write")
    assert newsroom.finish(newsroom.trigger()) == "failed"

    def unsent() -> int:
        [(number,)] = newsroom.sql(
            "SELECT count(*) FROM notice_channels AS channels WHERE account_id = %(account)s AND NOT EXISTS ("
            " SELECT FROM notice_messages WHERE channel_id = channels.id AND sent_at IS NOT NULL)"
        )
        return int(number)

    newsroom.until(lambda: unsent() == 0, "the notices", LONGEST)
    [mail] = [each for each in outside.post_office.mails if each["To"] == "noticed@example.com"]
    [hook] = [each for each in list(outside.web.told) if each.get("account") == "noticed"]
    [(run,)] = newsroom.sql("SELECT id FROM runs WHERE account_id = %(account)s")
    link = f"{newsroom.services.info.airflow_url}/pressroom/runs/job_{run}"
    assert link in mail.get_content()
    assert "pressroom_nowhere" in mail.get_content()
    assert (hook["kind"], hook["items"][0]["url"]) == ("run_failed", link)
