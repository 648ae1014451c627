"""Quiet hours by the clock on the wall, the words of notices, and what Slack is given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apprise.exception import AppriseImproperlyConfigured
from apprise.plugins.slack import NotifySlack
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pressroom.adapters.notices.mail import check_mail
from pressroom.adapters.notices.reaching import MAIL_PORTS, must_be_reachable
from pressroom.adapters.notices.settings import MailSettings, SlackSettings
from pressroom.adapters.notices.slack import send_slack
from pressroom.domain.definitions import NoticeChannel
from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.domain.notices.kinds import NoticeKind
from pressroom.domain.notices.wording import ToldThing, compose, line
from pressroom.engine.notices.delivery import LONGEST_WAIT, wait
from tests.support.served import served

HOOK = "https://hooks.slack.com/services/T0000AAAA/B0000BBBB/abcdefghijklmnopqrstuvwx"
AT = datetime(2026, 3, 28, 12, tzinfo=UTC)


def channel(begin: str, end: str, timezone: str = "Europe/Berlin") -> NoticeChannel:
    return NoticeChannel.model_validate({
        "name": "desk", "by": "webhook", "connection": "hook", "timezone": timezone,
        "quiet": {"begin": begin, "end": end},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("begin", "end", "moment", "quiet"),
    [
        ("20:00", "07:00", "2026-01-10T18:59:59+00:00", False),
        ("20:00", "07:00", "2026-01-10T19:00:00+00:00", True),
        ("20:00", "07:00", "2026-01-11T05:59:59+00:00", True),
        ("20:00", "07:00", "2026-01-11T06:00:00+00:00", False),
        # The night in which the clock goes forward: seven is an hour earlier.
        ("20:00", "07:00", "2026-03-29T04:59:59+00:00", True),
        ("20:00", "07:00", "2026-03-29T05:00:00+00:00", False),
        # A time that this night does not have: it ends when the clock has passed it.
        ("22:00", "02:30", "2026-03-29T00:59:59+00:00", True),
        ("22:00", "02:30", "2026-03-29T01:00:00+00:00", False),
        # The night in which it goes back: seven is an hour later.
        ("20:00", "07:00", "2026-10-25T05:59:59+00:00", True),
        ("20:00", "07:00", "2026-10-25T06:00:00+00:00", False),
        ("12:00", "13:00", "2026-01-10T11:30:00+00:00", True),
    ],
)
def test_quiet_hours_are_those_of_the_wall_clock(begin: str, end: str, moment: str, *, quiet: bool) -> None:
    assert channel(begin, end).rests(datetime.fromisoformat(moment)) is quiet


def test_one_thing_says_what_happened_why_what_to_do_and_where() -> None:
    thing = ToldThing("run:12", AT, 3, "site", "Acme Blog", reason="content: the key was refused")
    words = compose(
        NoticeKind.RUN_FAILED, [thing], account="acme", page="https://a.example/pressroom/",
        timezone="Asia/Tokyo",
    )  # fmt: skip
    assert words.subject == "[Pressroom] Acme Blog: run 12 failed at 28 Mar 21:00 (Asia/Tokyo)"
    assert words.body.splitlines() == [
        "Acme Blog: run 12 failed at 28 Mar 21:00 (Asia/Tokyo).",
        "Why: content: the key was refused",
        "What to do: Open the run, mend the reason, and retry it from the stage that failed.",
        "https://a.example/pressroom/runs/job_12",
    ]


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        ("article:7", "review?account=acme&piece=art_7"),
        ("post:7", "review?account=acme&piece=cnt_7"),
        ("gate:7", "review?account=acme&piece=gat_7"),
        ("publication:7", "review?account=acme&piece=pub_7"),
        ("workflow:3", "flows/flw_3"),
    ],
)
def test_each_thing_has_a_link_to_it(subject: str, path: str) -> None:
    assert ToldThing(subject, AT, 3, "flow", "Digest", title="T").path("acme") == path


def test_every_kind_has_words_for_one_and_for_many() -> None:
    facts = {"what": "month", "cents": 91, "cap": 100, "text": "Load failed."}
    for kind in NoticeKind:
        things = [ToldThing(f"run:{n}", AT, 3, "site", "Acme", title="T", facts=facts) for n in (1, 2)]
        for number in (1, 2):
            words = compose(kind, things[:number], account="a", page="https://a.example/", timezone="UTC")
            assert words.data["count"] == number
            assert words.body
            assert ".." not in words.body


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\u2028c\t d\x00e", "a b c de"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # Persian: the joiner shapes the word
        ("👩\u200d🍳 cooks", "👩\u200d🍳 cooks"),
        ("pay\u202egnihton\u200b", "paygnihton"),
    ],
)
def test_a_line_keeps_what_shapes_letters_and_drops_what_hides_them(text: str, shown: str) -> None:
    assert line(text) == shown


def test_waits_grow_to_an_hour() -> None:
    waits = [wait(attempt) for attempt in range(1, 200)]
    assert waits[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert max(waits) == waits[-1] == LONGEST_WAIT


# Slack -------------------------------------------------------------------------------------------------


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    came: list[dict[str, Any]] = []

    async def take(request: Request) -> Response:
        came.append({"path": request.url.path, **await request.json()})
        refused = "refused" in str(came[-1])
        return PlainTextResponse("invalid_token" if refused else "ok", 403 if refused else 200)

    with served(Starlette(routes=[Route("/{rest:path}", take, methods=["POST"])])) as url:
        monkeypatch.setattr(NotifySlack, "webhook_url", f"{url}/services")
        yield came


def settings(password: str = HOOK) -> SlackSettings:
    return SlackSettings.from_connection("slack", password=password, host="evil.example")


def test_slack_gets_text_that_mentions_nobody(slack: list[dict[str, Any]]) -> None:
    send_slack(settings(), to="", subject="A <!channel> & more", body="<https://evil.example|click>")
    [came] = slack
    assert came["path"] == HOOK.removeprefix("https://hooks.slack.com")
    assert "<!channel>" not in str(came)
    assert "<https" not in str(came)
    assert "click" in str(came)


def test_what_slack_refuses_is_an_error_without_the_hooks_address(slack: list[dict[str, Any]]) -> None:
    with pytest.raises(TransientError) as refused:
        send_slack(settings(), to="", subject="refused", body="refused")
    assert "connection 'slack'" in str(refused.value)
    assert not any(part in str(refused.value) for part in HOOK.split("/")[-3:])


@pytest.mark.parametrize(
    "password",
    [
        "",
        "https://evil.example/T0/B0/x",
        "json://evil.example",
        "xoxb-a/../../b",
        f"{HOOK}/../x",
        f"{HOOK}?to=x",
    ],
)
def test_slack_is_reached_at_its_own_address_alone(password: str) -> None:
    with pytest.raises(ConfigurationError, match="password: this is neither") as refused:
        settings(password)
    assert not password or password not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "smtp.example.org/?to=x", "login": "a@example.org"}, "its host is not a mail server"),
        ({"host": "smtp.example.org", "login": "press"}, "sender"),
        (
            {"host": "smtp.example.org", "login": "a@example.org", "extra": {"secure": "no"}},
            "unknown key 'secure'",
        ),
        ({"host": "smtp.example.org", "extra": {"sender": "a@b.c\r\nBcc: x@y.z"}}, "sender"),
        ({"host": "smtp.example.org", "extra": {"sender": "Jörg <jörg@example.com>"}}, "sender"),
        ({"host": "smtp..example.org", "login": "a@example.org"}, "its host is not a mail server"),
        ({"host": f"{'s' * 64}.example.org", "login": "a@example.org"}, "its host is not a mail server"),
    ],
)
def test_a_wrong_mail_connection_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        MailSettings.from_connection("mail", password="hush", **fields)


def test_a_slack_that_apprise_does_not_take_is_a_wrong_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: NotifySlack, **options: Any) -> None:
        raise AppriseImproperlyConfigured(  # type: ignore[no-untyped-call]  # apprise has no types
            f"An invalid Slack token was specified: {options}"
        )

    monkeypatch.setattr(NotifySlack, "__init__", refuse)
    with pytest.raises(ConfigurationError, match="connection 'slack'") as refused:
        send_slack(settings(), to="", subject="A", body="B")
    assert not any(part in str(refused.value) for part in HOOK.split("/")[-3:])


@pytest.mark.parametrize("fields", [{"password": "geheim-é"}, {"login": "jörg@example.com"}])
def test_a_login_that_no_mail_server_can_be_sent_is_a_wrong_connection(fields: dict[str, Any]) -> None:
    login: dict[str, Any] = {"host": "smtp.example.org", "login": "ann@example.org", "password": "geheim"}
    with pytest.raises(
        ConfigurationError, match=r"connection 'mail': login and password: .* ASCII"
    ) as refused:
        MailSettings.from_connection("mail", **login | fields)
    assert "geheim" not in str(refused.value)


def test_what_a_mail_server_cannot_be_sent_is_an_error_without_its_text() -> None:
    mail = MailSettings.from_connection("mail", host="127.0.0.1", port=1, login="a@example.org")
    wrong = mail.model_copy(update={"host": "smtp..example.org"})
    with pytest.raises(ConfigurationError, match="connection 'mail': its host") as refused:
        check_mail(wrong)
    assert "codec" not in str(refused.value)


# Private hosts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "allowed"),
    [
        ("mail.internal", 587, "mail.internal"),
        ("Mail.Internal.", 465, "mail.internal"),
        ("mail.internal", 2525, "mail.internal:2525"),
        ("fd00::1", 25, "[fd00::1]:25"),
        ("fd00::1", 25, "[FD00::1]"),
    ],
)
async def test_a_private_mail_server_is_allowed_by_name(host: str, port: int, allowed: str) -> None:
    await must_be_reachable("mail", host, port, [allowed], usual=MAIL_PORTS, resolve=private)


@pytest.mark.parametrize(
    ("host", "port", "allowed", "place"),
    [
        ("mail.internal", 22, "mail.internal", "--host mail.internal:22"),
        ("mail.internal", 25, "mail.internal:587", "--host mail.internal:25"),
        ("other.internal", 25, "mail.internal", "--host other.internal:25"),
        ("fd00::1", 5432, "[fd00::1]", r"--host \[fd00::1\]:5432"),
    ],
)
async def test_any_other_port_of_a_private_host_is_named(
    host: str, port: int, allowed: str, place: str
) -> None:
    with pytest.raises(ConfigurationError, match=place):
        await must_be_reachable("mail", host, port, [allowed], usual=MAIL_PORTS, resolve=private)


async def test_a_receiver_is_allowed_as_what_is_fetched() -> None:
    await must_be_reachable("hook", "hook.internal", 443, ["hook.internal"], resolve=private)
    with pytest.raises(ConfigurationError, match=r"hook\.internal:8080 leads to a private address"):
        await must_be_reachable("hook", "hook.internal", 8080, ["hook.internal"], resolve=private)


async def private(host: str, port: int) -> list[str]:
    return ["10.0.0.7"]
