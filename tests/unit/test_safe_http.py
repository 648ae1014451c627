"""Fetching reaches public addresses only, within bounds, and says what is wrong without secrets."""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest

from pressroom.adapters.http.addresses import system_resolver, why_refused
from pressroom.adapters.http.bodies import Inflater, decode, gunzip
from pressroom.adapters.http.stranger import Limits, SafeHttp
from pressroom.adapters.http.stranger_answer import Fetched
from pressroom.domain.errors import PermanentError, TransientError
from tests.support.web_server import Reply, Web, serve

PUBLIC = "93.184.215.14"

REFUSED_ADDRESSES = {
    "0.0.0.0": "unspecified",  # noqa: S104  nothing binds to it
    "0.1.2.3": "private",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "shared",
    "100.127.255.254": "shared",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "127.8.8.8": "loopback",
    "168.63.129.16": "metadata",
    "169.254.0.1": "link-local",
    "169.254.169.254": "metadata",
    "169.254.170.2": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "reserved",
    "192.0.2.1": "private",
    "192.88.99.1": "reserved",
    "192.168.0.1": "private",
    "198.18.0.1": "private",
    "198.51.100.1": "private",
    "203.0.113.1": "private",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "private",
    "255.255.255.255": "private",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "reserved",
    "::ffff:127.0.0.1": "loopback",
    "::ffff:10.1.2.3": "private",
    "::ffff:169.254.169.254": "metadata",
    "64:ff9b::127.0.0.1": "loopback",
    "64:ff9b::a00:1": "private",
    "64:ff9b::169.254.169.254": "metadata",
    "64:ff9b:1::1": "reserved",
    "100::1": "private",
    "2001::1": "private",
    "2001:db8::1": "private",
    "2002:7f00:1::": "reserved",
    "3fff::1": "reserved",
    "fc00::1": "private",
    "fd00:ec2::254": "metadata",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "fec0::1": "reserved",
    "ff02::1": "multicast",
    "not an address": "unreadable",
}


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_addresses_that_are_not_public(address: str) -> None:
    assert why_refused(address).partition(" ")[0] == REFUSED_ADDRESSES[address]


@pytest.mark.parametrize(
    "address", ["1.1.1.1", PUBLIC, "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_that_are_public(address: str) -> None:
    assert why_refused(address) == ""


class Names:
    """A resolver that says what it is told, a different thing each time when it is told several."""

    def __init__(self, **hosts: Sequence[Sequence[str]]) -> None:
        self._hosts = {host.replace("_", "."): list(answers) for host, answers in hosts.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self._hosts:
            return await system_resolver(host, port)
        answers = self._hosts[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


async def refusal(url: str, http: SafeHttp) -> str:
    async with http:
        with pytest.raises(PermanentError) as caught:
            await http.get(url)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://017700000001/",
        "http://0/",
        "http://localhost/",
        "http://LOCALHOST/",
        "http://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://192.168.1.1/",
        "http://10.0.0.1/",
        "https://10.0.0.1/",
        "http://100.64.1.1/",
    ],
)
async def test_private_hosts_are_refused_however_they_are_spelled(url: str) -> None:
    assert "address; a host that is not public must be allowed by name in allow_hosts" in await refusal(
        url, SafeHttp()
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://example.com/x", "only http and https"),
        ("gopher://example.com/x", "only http and https"),
        ("data:text/html,x", "only http and https"),
        ("javascript:alert(1)", "only http and https"),
        ("//example.com/x", "only http and https"),
        ("/etc/passwd", "only http and https"),
        ("", "only http and https"),
        ("http://", "not a URL"),
        ("http:///path", "not a URL"),
        ("http://user:geheim@example.com/", "user name or password"),
        ("http://user@example.com/", "user name or password"),
        ("http://@example.com/", "user name or password"),
        ("http://example.com:22/", "port 22 is refused"),
        ("http://example.com:8080/", "port 8080 is refused"),
        ("https://example.com:6379/", "port 6379 is refused"),
        ("http://exa mple.com/", "not a URL"),
        ("http://0177.0.0.1/", "not a URL"),
        ("http://127.0.0.1%2f@example.com/", "user name or password"),
        ("http://127.0.0.1%00.example.com/", "not a URL"),
        ("http://１２７.0.0.1/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://example.com\r\nX: y/", "not a URL"),
        ("http://example.com/" + "a" * 5000, "not a URL that can be fetched"),
    ],
)
async def test_urls_that_are_refused_before_anything_is_asked(url: str, said: str) -> None:
    names = Names(example_com=[[PUBLIC]])
    message = await refusal(url, SafeHttp(resolve=names))
    assert said in message
    assert "geheim" not in message
    assert names.asked == []


async def test_one_private_address_dooms_the_host() -> None:
    names = Names(both_test=[[PUBLIC, "10.0.0.1"]])
    assert "leads to a private address" in await refusal("http://both.test/", SafeHttp(resolve=names))


@pytest.fixture
def web() -> Iterator[Web]:
    with serve({}) as server:
        yield server


def client(web: Web, *, limits: Limits | None = None, **more: object) -> SafeHttp:
    """A client that may reach the test server as site.test, and by no other name."""
    names = Names(site_test=[["127.0.0.1"]], public_test=[[PUBLIC]], private_test=[["10.0.0.1"]])
    given = {"resolve": names, "allow_hosts": {f"site.test:{web.port}"}, **more}
    return SafeHttp(limits=limits, **given)  # type: ignore[arg-type]


async def get(web: Web, path: str, **more: object) -> Fetched:
    async with client(web) as http:
        return await http.get(web.url(path, "site.test"), **more)  # type: ignore[arg-type]


async def test_a_host_that_is_allowed_by_name(web: Web) -> None:
    web.answers["/a"] = Reply(b"gr\xfcn", {"Content-Type": 'Text/HTML; charset="latin-1"'})
    fetched = await get(web, "/a?b=c", accept=("text/*",))
    assert (fetched.text, fetched.media_type, fetched.status) == ("grün", "text/html", 200)
    assert fetched.url == web.url("/a?b=c", "site.test")
    path, headers = web.requests[0]
    assert (path, headers["host"]) == ("/a?b=c", f"site.test:{web.port}")


async def test_the_name_is_allowed_not_its_address(web: Web) -> None:
    async with client(web) as http:
        with pytest.raises(PermanentError, match="port"):
            await http.get(web.url("/a"))
        with pytest.raises(PermanentError, match="port"):
            await http.get(web.url("/a", "localhost"))
    assert web.requests == []


async def test_a_name_without_a_port_allows_the_usual_ports_only(web: Web) -> None:
    async with client(web, allow_hosts={"site.test"}) as http:
        with pytest.raises(PermanentError, match=f"as site.test:{web.port} in allow_hosts"):
            await http.get(web.url("/a", "site.test"))


async def test_a_name_that_resolves_anew_is_not_asked_again(web: Web) -> None:
    """The first answer is what is checked and what is connected to; the second would be 127.0.0.1."""
    rebinding = Names(rebind_test=[["192.0.2.10"], ["127.0.0.1"]])
    web.answers["/secret"] = Reply(b"secret")
    allowed = SafeHttp(resolve=rebinding, allow_hosts={f"rebind.test:{web.port}"}, limits=Limits(seconds=0.5))
    async with allowed as http:
        with pytest.raises(TransientError):
            await http.get(web.url("/secret", "rebind.test"))
    assert rebinding.asked == ["rebind.test"]
    assert web.requests == []


async def test_a_name_that_turns_private_is_refused_the_next_time() -> None:
    names = Names(rebind_test=[["192.168.0.1"]])
    assert "private address" in await refusal("http://rebind.test/", SafeHttp(resolve=names))


async def test_redirects_are_followed_and_each_is_checked(web: Web) -> None:
    web.answers["/1"] = Reply(status=301, headers={"Location": "/2"})
    web.answers["/2"] = Reply(status=307, headers={"Location": "3?x=1"})
    web.answers["/3"] = Reply(b"there")
    fetched = await get(web, "/1")
    assert (fetched.body, fetched.url) == (b"there", web.url("/3?x=1", "site.test"))


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://127.0.0.1/", "loopback address"),
        ("http://2130706433/", "loopback address"),
        ("http://[::1]/", "loopback address"),
        ("http://169.254.169.254/latest", "metadata address"),
        ("http://private.test/", "private address"),
        ("//private.test/", "private address"),
        ("http://public.test:8080/", "port 8080"),
        ("http://a:b@public.test/", "user name"),
        ("file:///etc/passwd", "only http and https"),
        ("ftp://public.test/", "only http and https"),
        ("", "redirects to nowhere"),
        ("http://[::1", "redirects to nowhere"),
    ],
)
async def test_redirects_to_what_is_refused(web: Web, location: str, said: str) -> None:
    web.answers["/1"] = Reply(status=302, headers={"Location": "/2"})
    web.answers["/2"] = Reply(status=302, headers={"Location": location})
    with pytest.raises(PermanentError, match=said):
        await get(web, "/1")


async def test_too_many_redirects(web: Web) -> None:
    web.answers["/loop"] = Reply(status=302, headers={"Location": "/loop"})
    with pytest.raises(PermanentError, match="more than 3 redirects"):
        await get(web, "/loop")
    assert len(web.requests) == 4


def bomb(members: int = 1) -> bytes:
    return gzip.compress(bytes(20_000_000)) * members


async def test_a_bomb_is_not_unpacked(web: Web) -> None:
    web.answers["/bomb"] = Reply(bomb(), {"Content-Encoding": "gzip"})
    assert len(bomb()) < 30_000
    with pytest.raises(PermanentError, match="larger than 1,000,000 bytes"):
        await get(web, "/bomb", most=1_000_000)


async def test_a_body_in_many_empty_parts(web: Web) -> None:
    web.answers["/parts"] = Reply(gzip.compress(b"") * 5_000, {"Content-Encoding": "gzip"})
    with pytest.raises(PermanentError, match="too many parts"):
        await get(web, "/parts")


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 400_000])
async def test_what_is_compressed_comes_out_whole(web: Web, size: int) -> None:
    body = bytes(size)
    web.answers["/gzip"] = Reply(gzip.compress(body[: size // 2]) + gzip.compress(body[size // 2 :]))
    web.answers["/gzip"] = Reply(web.answers["/gzip"].body, {"Content-Encoding": "gzip"})  # type: ignore[union-attr]
    web.answers["/zlib"] = Reply(zlib.compress(body), {"Content-Encoding": "deflate"})
    assert (await get(web, "/gzip")).body == body
    assert (await get(web, "/zlib")).body == body


@pytest.mark.parametrize("cut", [gzip.compress(b"x" * 1000)[:-4], b"no gzip at all"], ids=["cut", "other"])
async def test_a_broken_compressed_body(web: Web, cut: bytes) -> None:
    web.answers["/cut"] = Reply(cut, {"Content-Encoding": "gzip"})
    with pytest.raises(TransientError, match="compressed body"):
        await get(web, "/cut")


async def test_an_encoding_that_was_not_asked_for(web: Web) -> None:
    web.answers["/br"] = Reply(b"x", {"Content-Encoding": "br"})
    with pytest.raises(PermanentError, match="'br' was not asked for"):
        await get(web, "/br")


async def test_a_length_that_is_too_much_is_refused_before_it_comes(web: Web) -> None:
    web.answers["/long"] = Reply(headers={"Content-Length": "99999999999"}, chunks=_for_ever(b"x" * 1000))
    began = time.monotonic()
    with pytest.raises(PermanentError, match="larger than 5,000,000 bytes"):
        await get(web, "/long")
    assert time.monotonic() - began < 30


async def test_a_body_without_a_length_is_counted(web: Web) -> None:
    web.answers["/flood"] = Reply(chunks=_for_ever(b"x" * 100_000))
    with pytest.raises(PermanentError, match="larger than 300,000 bytes"):
        await get(web, "/flood", most=300_000)


def _for_ever(chunk: bytes, pause: float = 0.0):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def chunks(stopping: threading.Event) -> Iterator[bytes]:
        while not stopping.wait(pause):
            yield chunk

    return chunks


@pytest.mark.parametrize("path", ["/drip", "/redirects"])
async def test_the_time_is_for_everything(web: Web, path: str) -> None:
    """A body that drips, and redirects that each take a while: no single wait is too long."""

    def slowly(_: str, __: Mapping[str, str]) -> Reply:
        time.sleep(0.25)
        return Reply(status=302, headers={"Location": "/redirects"})

    web.answers["/drip"] = Reply(chunks=_for_ever(b".", pause=0.05))
    web.answers["/redirects"] = slowly
    began = time.monotonic()
    async with client(web, limits=Limits(seconds=0.6, redirects=50)) as http:
        with pytest.raises(TransientError, match=r"not done within 0\.6 seconds"):
            await http.get(web.url(path, "site.test"))
    assert time.monotonic() - began < 30


async def test_a_name_that_takes_for_ever_to_resolve() -> None:
    async def never(_: str, __: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    async with SafeHttp(resolve=never, limits=Limits(seconds=0.1)) as http:
        with pytest.raises(TransientError, match="not done within"):
            await http.get("http://slow.test/")


async def test_content_types(web: Web) -> None:
    web.answers["/pdf"] = Reply(b"x", {"Content-Type": "application/pdf"})
    web.answers["/none"] = Reply(b"x")
    with pytest.raises(PermanentError, match="it is 'application/pdf', not application/json or text/"):
        await get(web, "/pdf", accept=("text/*", "application/json"))
    assert (await get(web, "/none", accept=("text/*",))).body == b"x"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
async def test_refusals_are_permanent(web: Web, status: int) -> None:
    web.answers["/a"] = Reply(status=status)
    with pytest.raises(PermanentError, match=f"the server answered {status}"):
        await get(web, "/a")
    assert (await get(web, "/a", also=(status,))).status == status


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_troubles_pass(web: Web, status: int) -> None:
    web.answers["/a"] = Reply(status=status, headers={"Retry-After": "7"})
    with pytest.raises(TransientError) as caught:
        await get(web, "/a")
    assert caught.value.retry_after == 7


async def test_nobody_listens() -> None:
    with serve({}) as gone:
        port = gone.port
    names = Names(site_test=[["127.0.0.1"]])
    async with SafeHttp(resolve=names, allow_hosts={f"site.test:{port}"}) as http:
        with pytest.raises(TransientError, match="cannot be reached: ConnectError"):
            await http.get(f"http://site.test:{port}/")


async def test_the_next_address_is_tried(web: Web) -> None:
    web.answers["/a"] = Reply(b"x")
    names = Names(site_test=[["::1", "127.0.0.1"]])
    async with client(web, resolve=names) as http:
        assert (await http.get(web.url("/a", "site.test"))).body == b"x"


async def test_a_broken_answer(web: Web) -> None:
    web.answers["/short"] = Reply(b"x", {"Content-Length": "1000"})
    with pytest.raises(TransientError, match="no whole answer: RemoteProtocolError"):
        await get(web, "/short")


async def test_a_host_that_does_not_exist() -> None:
    async def nowhere(host: str, _: int) -> Sequence[str]:
        return await system_resolver(f"{host}.invalid", 80)

    async with SafeHttp(resolve=nowhere) as http:
        with pytest.raises(TransientError, match="cannot be found"):
            await http.get("http://nowhere/")


async def test_a_host_without_addresses() -> None:
    async with SafeHttp(resolve=Names(none_test=[[]])) as http:
        with pytest.raises(TransientError, match="has no address"):
            await http.get("http://none.test/")


async def test_messages_hold_no_secrets(web: Web) -> None:
    web.answers["/a"] = Reply(status=403)
    with pytest.raises(PermanentError) as caught:
        await get(web, "/a?api_key=geheim#geheim")
    assert str(caught.value) == f"http://site.test:{web.port}/a: the server answered 403"
    assert caught.value.__cause__ is None


async def test_a_certificate_that_does_not_fit(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    command += " -keyout key.pem -out cert.pem -subj /CN=other.test"
    made = await asyncio.create_subprocess_exec(
        *command.split(), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(made.communicate(), 60)
    assert made.returncode == 0, said
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    web = serve({"/a": Reply(b"x")})
    web._server.socket = context.wrap_socket(web._server.socket, server_side=True)
    with web:
        async with client(web) as http:
            with pytest.raises(PermanentError, match="its certificate does not verify"):
                await http.get(f"https://site.test:{web.port}/a")


async def test_https_does_not_lead_to_http(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_: object, request: httpx.Request) -> httpx.Response:
        assert request.url.host == PUBLIC
        assert request.headers["host"] == "public.test"
        assert request.extensions["sni_hostname"] == "public.test"
        return httpx.Response(302, headers={"Location": "http://public.test/b?key=geheim"})

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer)
    message = await refusal("https://public.test/a", SafeHttp(resolve=Names(public_test=[[PUBLIC]])))
    assert message.endswith("it redirects from https to http://public.test/b, which is refused")


def test_a_gzip_file() -> None:
    assert gunzip(gzip.compress(b"abc"), 3) == b"abc"
    with pytest.raises(PermanentError, match="larger than 1,000 bytes"):
        gunzip(bomb(), 1000)


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        (b"plain", "", "plain"),
        ("grün".encode(), "", "grün"),
        ("grün".encode("latin-1"), "latin-1", "grün"),
        ("grün".encode(), "latin-1", "grÃ¼n"),
        ("\ufeffgrün".encode("utf-16"), "utf-8", "grün"),
        (b"\xef\xbb\xbfx", "latin-1", "x"),
        ("<?xml encoding='iso-8859-1'?>ü".encode("latin-1"), "", "<?xml encoding='iso-8859-1'?>ü"),
        ('<meta charset="windows-1251">я'.encode("cp1251"), "", '<meta charset="windows-1251">я'),
        ("日本".encode("shift_jis"), "Shift_JIS", "日本"),
        (b"a\xffb", "", "a\ufffdb"),
        (b"abc-", "punycode", "abc-"),
        (b"+AGEAYg-", "utf-7", "+AGEAYg-"),
        (b"abc", "zip", "abc"),
        (b"abc", "no such thing", "abc"),
        (b"a\\u0062", "unicode_escape", "a\\u0062"),
    ],
)  # fmt: skip
def test_decoding(body: bytes, charset: str, text: str) -> None:
    assert decode(body, charset) == text


def test_pieces_stay_small() -> None:
    stream = io.BytesIO(bomb())
    sizes = [len(piece) for piece in Inflater().feed(stream.read())]
    assert max(sizes) <= 65_536
    assert sum(sizes) == 20_000_000
