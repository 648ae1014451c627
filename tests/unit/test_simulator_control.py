"""What the simulator adds: pictures, a clock, faults, and a memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pressroom_dev.simulator.scheduler import SimulatedClock, SimulatedScheduler
from tests.support.simulator_client import NOW, POSTS, QUERY, advance, body, create, listed, new_client


async def test_pictures_are_hosted_and_lead_to_their_source() -> None:
    async with new_client() as client:
        source = "https://cdn.example/a/b.png?size=2"
        hosted = await client.get("/actions/normalize/image/url", params={**QUERY, "url": source})
        assert hosted.headers["content-type"].startswith("text/plain")
        assert hosted.text.startswith("http://simulator.test/media/hosted/")
        assert hosted.text.endswith(".png")
        answer = await client.get(hosted.text)
        assert (answer.status_code, answer.headers["location"]) == (307, source)
        again = await client.get("/actions/normalize/image/url", params={**QUERY, "url": hosted.text})
        assert again.text == hosted.text
        for bad in ("", "file:///etc/passwd", "ftp://a.example/x"):
            refused = await client.get("/actions/normalize/image/url", params={**QUERY, "url": bad})
            assert refused.status_code == 400


async def test_media_files_are_served_and_nothing_beside_them(tmp_path: Path) -> None:
    root = tmp_path / "media"
    (root / "ab").mkdir(parents=True)
    (root / "ab" / "1.png").write_bytes(b"picture")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    async with new_client(media_root=root) as client:
        answer = await client.get("/media/ab/1.png")
        assert (answer.content, answer.headers["content-type"]) == (b"picture", "image/png")
        for name in ("%2e%2e/secret.txt", "ab/%2e%2e/%2e%2e/secret.txt", "link.txt", "ab", "none.png", "%00"):
            assert (await client.get(f"/media/{name}")).status_code == 404, name
        absolute = str(tmp_path / "secret.txt").replace("/", "%2f")
        assert (await client.get(f"/media/{absolute}")).status_code == 404
    async with new_client() as client:
        assert (await client.get("/media/ab/1.png")).status_code == 404


@pytest.mark.parametrize(
    "wanted",
    [
        {"advance_seconds": -1},
        {"to": "2026-11-23T07:59:59+00:00"},
        {"to": "2026-11-30T00:00:00"},
        {"advance_seconds": 1, "to": "2026-11-30T00:00:00Z"},
        {"advance_seconds": 1e300},
        {"hours": 1},
        {},
    ],
)
async def test_the_clock_refuses_what_it_cannot_do(wanted: dict[str, Any]) -> None:
    async with new_client() as client:
        assert (await client.post("/simulator/clock", json=wanted)).status_code == 400
        assert datetime.fromisoformat((await client.get("/simulator/clock")).json()["now"]) == NOW


async def test_the_clock_is_set_to_a_later_time() -> None:
    async with new_client() as client:
        answer = await client.post("/simulator/clock", json={"to": "2026-12-01T10:00:00+01:00"})
        assert datetime.fromisoformat(answer.json()["now"]) == datetime(2026, 12, 1, 9, tzinfo=UTC)


def test_the_clock_stands_still_when_the_real_one_is_set_back() -> None:
    wall = [NOW]
    clock = SimulatedClock(lambda: wall[0])
    clock.advance(timedelta(hours=2))
    wall[0] = NOW - timedelta(hours=5)
    assert clock.now() == NOW + timedelta(hours=2)
    wall[0] = NOW + timedelta(minutes=1)
    assert clock.now() == NOW + timedelta(hours=2, minutes=1)


async def statuses(client: httpx.AsyncClient, number: int) -> list[int]:
    found = []
    for _ in range(number):
        try:
            found.append((await client.post(POSTS, json=body())).status_code)
        except httpx.RemoteProtocolError:
            found.append(0)
    return found


async def test_faults_strike_by_seeded_chance() -> None:
    faults = [
        {"action": "lost", "share": 0.2, "seed": 1, "path": POSTS},
        {"action": "429", "share": 0.1, "seed": 2, "retry_after": 7},
        {"action": "500", "share": 0.1, "seed": 3},
    ]
    runs = []
    for _ in range(2):
        async with new_client() as client:
            await client.post("/simulator/faults", json=faults)
            runs.append(await statuses(client, 200))
            kept = (await client.get("/simulator/posts")).json()["data"]
            arranged = (await client.get("/simulator/faults")).json()
        # A lost answer is one to a post that was accepted.
        assert len(kept) == runs[-1].count(200) + runs[-1].count(0)
        assert [one["hits"] for one in arranged] == [runs[-1].count(status) for status in (0, 429, 500)]
    assert runs[0] == runs[1]
    assert 20 < runs[0].count(0) < 60
    assert 8 < runs[0].count(429) < 35
    assert 8 < runs[0].count(500) < 35


async def test_a_fault_strikes_only_what_it_is_about_and_so_often() -> None:
    async with new_client() as client:
        faults = [{"action": "429", "times": 2, "method": "POST", "retry_after": 7, "path": POSTS}]
        await client.post("/simulator/faults", json=faults)
        assert (await client.get("/v2/settings/brands")).status_code == 200
        assert await listed(client) == []
        answer = await client.post(POSTS, json=body())
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert answer.headers["x-pressroom-simulator"] == "true"
        assert await statuses(client, 2) == [429, 200]


async def test_a_fault_can_refuse_and_delay() -> None:
    async with new_client() as client:
        faults = [{"action": "refuse_past", "times": 1}, {"action": "slow", "delay_seconds": 0.05}]
        await client.post("/simulator/faults", json=faults)
        answer = await client.post(POSTS, json=body())
        assert answer.status_code == 400
        assert "Given datetime cannot be in the past" in answer.text
        loop_start = datetime.now(UTC)
        assert (await client.post(POSTS, json=body())).status_code == 200
        assert datetime.now(UTC) - loop_start >= timedelta(seconds=0.05)


async def test_an_unknown_fault_is_refused() -> None:
    async with new_client() as client:
        wrong: list[Any] = [
            [{"action": "flood"}],
            [{"action": "429", "share": 2}],
            [{"action": "429", "odds": 1}],
            {},
        ]
        for faults in wrong:
            assert (await client.post("/simulator/faults", json=faults)).status_code == 400


async def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state" / "journal.jsonl"
    async with new_client(path) as client:
        await create(client, text="ein Gruß")
        gone = await create(client)
        await client.delete(f"{POSTS}/{gone['id']}")
        await client.get("/actions/normalize/image/url", params={**QUERY, "url": "https://a.example/1.png"})
        await advance(client, days=2)
        before = [(await client.get(page)).json() for page in ("/simulator", "/simulator/posts")]
    async with new_client(path) as client:
        assert [(await client.get(page)).json() for page in ("/simulator", "/simulator/posts")] == before
        answer = await client.get(
            "/actions/normalize/image/url", params={**QUERY, "url": "https://a.example/1.png"}
        )
        assert (await client.get(answer.text)).status_code == 307
        later = {"dateTime": "2026-12-24T09:00:00", "timezone": "UTC"}
        assert (await create(client, publicationDate=later))["id"] == gone["id"] + 1


async def test_a_torn_last_line_is_dropped_and_a_broken_one_before_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    async with new_client(path) as client:
        await create(client)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"event": "created", "id": 10')
    async with new_client(path) as client:
        assert len((await client.get("/simulator/posts")).json()["data"]) == 1
        await create(client)
    async with new_client(path) as client:
        assert len((await client.get("/simulator/posts")).json()["data"]) == 2
    path.write_bytes(b"{torn}\n" + whole)
    with pytest.raises(ValueError, match="line 1"):
        SimulatedScheduler(path)


async def test_forgetting_keeps_the_clock_and_gives_no_id_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    async with new_client(path) as client:
        first = await create(client)
        await advance(client, hours=5)
        await client.post("/simulator/faults", json=[{"action": "500"}])
        assert (await client.delete("/simulator")).json()["posts"] == {}
        assert len(path.read_text().splitlines()) == 1
    async with new_client(path) as client:
        assert (await client.get("/simulator/posts")).json()["data"] == []
        assert (await client.get("/simulator")).json()["now"] == (NOW + timedelta(hours=5)).isoformat()
        assert (await create(client))["id"] > first["id"]


async def test_thousands_of_posts_are_listed_fast() -> None:
    async with new_client() as client:
        desk_body = json.dumps(body())
        for _ in range(2000):
            await client.post(POSTS, content=desk_body, headers={"content-type": "application/json"})
        start = datetime.now(UTC)
        assert len(await listed(client)) == 2000
        assert datetime.now(UTC) - start < timedelta(seconds=3)
