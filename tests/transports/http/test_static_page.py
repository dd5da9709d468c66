"""The chat page's files: what a browser is sent, what it may keep, what may run."""

import gzip
import html
import json
import re
from dataclasses import replace

import aiohttp
import pytest

from kits.transport.harness import SETTINGS, TransportHarness, running_harness
from tidings import __version__
from tidings.server.settings import HttpSettings, ListenerSettings
from tidings.transports.http.static_page import CONTENT_TYPES, WEB_FOLDER

FILES = sorted(file.name for file in WEB_FOLDER.iterdir() if file.name != "index.html")


async def get(
    harness: TransportHarness, path: str, headers: dict[str, str] | None = None, unpack: bool = True
) -> tuple[aiohttp.ClientResponse, bytes]:
    async with (
        aiohttp.ClientSession(auto_decompress=unpack) as http,
        http.get(f"{harness.http_url}{path}", headers=headers) as answer,
    ):
        return answer, await answer.read()


def page_config(page: bytes) -> dict[str, object]:
    """What the service wrote into the page about itself."""
    (content,) = re.findall(r'<meta name="tidings" content="(.*?)">', page.decode())
    read = json.loads(html.unescape(content))
    assert isinstance(read, dict)
    return read


@pytest.mark.asyncio
@pytest.mark.parametrize("dev", [True, False])
async def test_the_page_is_told_how_the_service_is_run(dev: bool) -> None:
    async with running_harness(replace(SETTINGS, dev=dev)) as harness:
        answer, page = await get(harness, "/")
        assert answer.content_type == "text/html"
        assert page_config(page) == {
            "isDev": dev,
            "path": "/rsocket",
            "version": __version__,
            "ws": harness.ws_url,
            "tcp": f"tcp://127.0.0.1:{harness.listener.tcp_port}",
        }


@pytest.mark.asyncio
async def test_people_without_javascript_are_told_where_the_service_is() -> None:
    async with running_harness() as harness:
        _, page = await get(harness, "/")
        (plain,) = re.findall(r"<noscript>(.*)</noscript>", page.decode(), re.DOTALL)
        assert harness.ws_url in plain
        assert f"tcp://127.0.0.1:{harness.listener.tcp_port}" in plain
        assert 'href="/health"' in plain
        assert 'href="/metrics"' in plain
        assert "{{" not in page.decode()


@pytest.mark.asyncio
async def test_what_is_written_into_the_page_is_escaped() -> None:
    path = '/"><script>alert(1)</script>'
    settings: ListenerSettings = replace(SETTINGS, http=HttpSettings(port=0, path=path))
    async with running_harness(settings) as harness:
        _, page = await get(harness, "/")
        assert b"<script>alert" not in page
        assert page_config(page)["path"] == path


@pytest.mark.asyncio
@pytest.mark.parametrize("name", FILES)
async def test_every_file_of_the_page_is_served_as_what_it_is(name: str) -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, f"/{name}")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == CONTENT_TYPES[WEB_FOLDER.joinpath(name).suffix]
        assert body == WEB_FOLDER.joinpath(name).read_bytes()


@pytest.mark.asyncio
async def test_the_page_asks_for_nothing_that_is_not_there() -> None:
    async with running_harness() as harness:
        _, page = await get(harness, "/")
        _, manifest = await get(harness, "/manifest.webmanifest")
        asked = set(re.findall(r'(?:href|src)="(/[^"]+)"', page.decode()))
        asked |= {icon["src"] for icon in json.loads(manifest)["icons"]}
        assert asked >= {"/app.js", "/app.css", "/icon.svg"}
        for path in asked:
            answer, _ = await get(harness, path)
            assert answer.status == 200, path


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/", "/app.js", "/icon-192.png"])
async def test_who_has_a_file_already_is_not_sent_it_again(path: str) -> None:
    async with running_harness() as harness:
        first, _ = await get(harness, path)
        again, body = await get(harness, path, {"If-None-Match": first.headers["ETag"]})
        assert (again.status, body) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert again.headers["Cache-Control"] == "no-cache"
        other, body = await get(harness, path, {"If-None-Match": '"another"'})
        assert other.status == 200
        assert body


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/", "/app.js", "/app.css", "/icon.svg"])
async def test_texts_are_packed_for_those_who_can_unpack_them(path: str) -> None:
    async with running_harness() as harness:
        packed, zipped = await get(harness, path, {"Accept-Encoding": "gzip"}, unpack=False)
        plain, body = await get(harness, path, {"Accept-Encoding": "identity"}, unpack=False)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(zipped) == body


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("path", "accepted", "coding"),
    [
        ("/app.js", "GZIP", "gzip"),
        ("/app.js", "gzip;q=0", None),
        ("/app.js", "gzip;q=0, *", None),
        ("/app.js", "gzip;q=0.2, identity;q=0.5", None),
        ("/app.js", "identity;q=0, *", "gzip"),
        ("/icon-192.png", "gzip", None),  # is packed already
        ("/icon-192.png", "gzip, identity;q=0", "gzip"),
    ],
)
async def test_what_a_client_does_not_take_it_is_not_sent(path: str, accepted: str, coding: str | None) -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, path, {"Accept-Encoding": accepted})
        assert answer.headers.get("Content-Encoding") == coding
        assert body == WEB_FOLDER.joinpath(path[1:]).read_bytes()


@pytest.mark.asyncio
async def test_who_takes_neither_form_is_told() -> None:
    async with running_harness() as harness:
        answer, _ = await get(harness, "/", {"Accept-Encoding": "identity;q=0"})
        assert answer.status == 406


@pytest.mark.asyncio
async def test_each_form_of_a_file_has_an_etag_of_its_own() -> None:
    async with running_harness() as harness:
        packed, _ = await get(harness, "/app.js", {"Accept-Encoding": "gzip"})
        plain, _ = await get(harness, "/app.js", {"Accept-Encoding": "identity"})
        assert packed.headers["ETag"] != plain.headers["ETag"]
        for accepted, etag, status in (
            ("gzip", packed.headers["ETag"], 304),
            ("identity", plain.headers["ETag"], 304),
            ("gzip", plain.headers["ETag"], 200),
            ("identity", packed.headers["ETag"], 200),
            ("gzip", f'"other", W/{packed.headers["ETag"]}', 304),  # proxies weaken what they pack
            ("gzip", "*", 304),
            ("gzip", "nonsense", 200),
        ):
            answer, _ = await get(harness, "/app.js", {"Accept-Encoding": accepted, "If-None-Match": etag})
            assert answer.status == status, (accepted, etag)


@pytest.mark.asyncio
@pytest.mark.parametrize("accepted", ["gzip", "identity"])
@pytest.mark.parametrize("path", ["/", "/app.js", "/icon-192.png"])
async def test_head_has_what_get_has_but_the_body(path: str, accepted: str) -> None:
    headers = {"Accept-Encoding": accepted}
    async with running_harness() as harness, aiohttp.ClientSession(auto_decompress=False) as http:
        async with http.get(f"{harness.http_url}{path}", headers=headers) as got:
            body = await got.read()
        async with http.head(f"{harness.http_url}{path}", headers=headers) as head:
            assert await head.read() == b""
        for answer in (got, head):
            assert answer.headers["Content-Length"] == str(len(body))
        assert {**got.headers, "Date": ""} == {**head.headers, "Date": ""}


@pytest.mark.asyncio
async def test_a_range_is_answered_with_the_whole() -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, "/app.js", {"Range": "bytes=0-9"})
        assert answer.status == 200
        assert body == WEB_FOLDER.joinpath("app.js").read_bytes()


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/", "/worker.js", "/sw.js"])
async def test_the_policy_lets_the_pages_own_files_run_and_nothing_else(path: str) -> None:
    async with running_harness() as harness:
        answer, body = await get(harness, path)
        policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'"
        for kind in ("script-src", "style-src", "worker-src", "connect-src", "manifest-src"):
            assert policy[kind] == "'self'"
        for kind in ("base-uri", "form-action", "frame-ancestors"):
            assert policy[kind] == "'none'"
        if path == "/":
            page = body.decode()
            assert re.findall(r"<script[^>]*>", page) == ['<script type="module" src="/app.js">']
            assert "<style" not in page
            assert not re.search(r"\s(style|on\w+)=", page)
