"""Behind nginx, set up as the operating guide says: who a connection counts as, and what may be read through it."""

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import websockets.asyncio.client

import tidings_client
from cli.markdown import ROOT, blocks
from service_runner import RunningService, free_port, running_service

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""
GUIDE = ROOT / "docs" / "guides" / "operating.md"
START_SECONDS = 20

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(not NGINX and not os.environ.get("CI"), reason="nginx is not installed"),
]


def configuration(folder: Path, port: int, upstream: int, forwards_address: bool) -> str:
    """The guide's, without TLS and on another port, in its own folder; `passed_on`: it keeps Forwarded and /metrics."""
    [block] = [block.code for block in blocks(GUIDE) if block.title == "nginx.conf"]
    block = re.sub(r"(?m)^\s*ssl_certificate.*\n", "", block)
    block = block.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};").replace(
        "127.0.0.1:7878", f"127.0.0.1:{upstream}"
    )
    if forwards_address:
        block = re.sub(r"(?s)location = /metrics \{.*?\n    \}", "", block)
        block = re.sub(r"(?m)^\s*proxy_set_header Forwarded .*\n", "", block)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    return (
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{block}}}\n"
    )


@contextlib.asynccontextmanager
async def nginx(folder: Path, upstream: int, forwards_address: bool) -> AsyncIterator[int]:
    """Its port, while it runs."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(configuration(folder, port, upstream, forwards_address))
    process = await asyncio.create_subprocess_exec(
        NGINX, "-p", str(folder), "-c", str(config), "-e", f"{folder}/first.log"
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                with contextlib.suppress(ConnectionError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                assert process.returncode is None, (folder / "error.log").read_text()
                await asyncio.sleep(0.05)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def proxied(
    folder: Path, forwards_address: bool = False, **overrides: object
) -> AsyncIterator[tuple[RunningService, int]]:
    settings: dict[str, object] = {"http__trusted_proxies": ("127.0.0.1",)} | overrides
    async with (
        running_service(folder / "data", **settings) as service,
        nginx(folder, service.app.http_port, forwards_address) as port,
    ):
        yield service, port


def addresses(service: RunningService) -> list[str]:
    """Whose the RSocket connections count as, in order of their coming."""
    return [session.transport.slot.address for session in service.app.frontend.dispatcher.peers]  # type: ignore[attr-defined]


@pytest.mark.parametrize("passed_on", [False, True], ids=["as in the guide", "without clearing Forwarded"])
async def test_clients_talk_through_it_and_count_as_themselves(tmp_path: Path, passed_on: bool) -> None:
    async with proxied(tmp_path, passed_on) as (service, port):
        url = f"ws://127.0.0.1:{port}/rsocket"
        async with tidings_client.connect(url, user="ada") as ada, ada.rooms["general"].watch(after=0) as watching:
            await ada.rooms["general"].send("through nginx")
            assert (await anext(watching)).posted.text == "through nginx"
            assert addresses(service) == ["127.0.0.1"]
            # Another client than this machine, as nginx sees it; what it writes into the headers is worth nothing.
            written = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
            async with websockets.asyncio.client.connect(
                url, local_addr=("127.0.0.2", 0), additional_headers=written, compression=None
            ):
                assert addresses(service)[1:] == ["127.0.0.2"]
            async with (
                aiohttp.ClientSession(headers={"Forwarded": "x", "Host": "localhost"}) as http,
                http.get(f"http://127.0.0.1:{port}/metrics") as metrics,
            ):
                assert metrics.status == (403 if passed_on else 404)


async def test_one_client_that_takes_all_its_places_locks_no_other_out(tmp_path: Path) -> None:
    limits = {"connections__unauthenticated_connections_per_address_max": 3, "connections__evictable_after_seconds": 60}
    async with proxied(tmp_path, **limits) as (_service, port), contextlib.AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{port}/rsocket"

        async def stranger(address: str) -> None:
            await stack.enter_async_context(websockets.asyncio.client.connect(url, local_addr=(address, 0)))

        for _ in range(3):
            await stranger("127.0.0.2")
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            await stranger("127.0.0.2")
        assert refused.value.response.status_code == 503
        await stranger("127.0.0.3")
        async with tidings_client.connect(url, user="ada") as ada:
            await ada.rooms["general"].send("still here")


async def test_the_page_comes_packed_and_the_metrics_do_not_come(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (service, port), aiohttp.ClientSession(auto_decompress=False) as http:
        async with http.get(f"http://127.0.0.1:{port}/app.js", headers={"Accept-Encoding": "gzip"}) as page:
            assert (page.status, page.headers["Content-Encoding"]) == (200, "gzip")
        again = {"Accept-Encoding": "gzip", "If-None-Match": page.headers["ETag"]}
        async with http.get(f"http://127.0.0.1:{port}/app.js", headers=again) as page:
            assert page.status == 304
        async with http.get(f"http://127.0.0.1:{port}/metrics") as metrics:
            assert metrics.status == 404
        # Under another path to the same place: nginx says for whom it asks, and that is not this machine's loopback.
        through = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(connector=through) as other:
            async with other.get(f"http://127.0.0.1:{port}/%6detrics") as metrics:
                assert metrics.status == 404
            async with other.get(f"http://127.0.0.1:{port}/health") as health:
                assert health.status == 200
        async with http.get(f"{service.http_url}/metrics") as metrics:
            assert metrics.status == 200
