"""The health, the metrics; errors as JSON."""

import json
import re
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tidings.metrics import Metrics
from tidings.transports.listener import Listener
from tidings.transports.settings import HttpSettings
from transports.stage import SETTINGS, Stage, staged, watch


async def get(stage: Stage, path: str, method: str = "GET", **options: Any) -> tuple[aiohttp.ClientResponse, str]:
    async with aiohttp.ClientSession() as http, http.request(method, f"{stage.http_url}{path}", **options) as answer:
        return answer, await answer.text()


@pytest.mark.asyncio
async def test_health_is_ok_while_it_serves() -> None:
    async with staged() as stage:
        answer, body = await get(stage, "/health")
        told = json.loads(body)
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert told.keys() == {"status", "version", "uptime_seconds"}
        assert told["status"] == "ok"
        assert told["uptime_seconds"] >= 0


@pytest.mark.asyncio
@pytest.mark.parametrize("status", ["starting", "draining", "failed"])
async def test_health_is_503_with_the_word_for_it_otherwise(status: str) -> None:
    stage = Stage()
    stage.listener = Listener(stage.listener._table, stage.gate, SETTINGS, stage.metrics, health=lambda: status)
    await stage.listener.start()
    answer, body = await get(stage, "/health")
    assert (answer.status, json.loads(body)["status"]) == (503, status)
    await stage.listener.close()


@pytest.mark.asyncio
async def test_health_says_draining_while_it_drains() -> None:
    async with staged() as stage:
        await stage.listener.drain(1)
        answer, body = await get(stage, "/health")
        assert (answer.status, json.loads(body)["status"]) == (503, "draining")


@pytest.mark.asyncio
async def test_metrics_are_prometheus_text_and_count_what_happened() -> None:
    async with staged() as stage, stage.peer("websocket") as peer:
        await peer.ask(1, "test.echo")
        await peer.send(b"")
        await peer.rest()
        answer, body = await get(stage, "/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert 'tidings_requests_total{outcome="ok",route="test.echo"} 1.0' in body
        assert 'tidings_connections_opened_total{transport="websocket"} 1.0' in body
        assert re.search(r"^tidings_bytes_in_total [1-9]", body, re.MULTILINE)
        assert "tidings_credit_outstanding 0.0" in body
        for name in set(re.findall(r"^(tidings_\w+?)(?:_total|_bucket|_sum|_count)?(?:{| )", body, re.MULTILINE)):
            assert f"# HELP {name}" in body


@pytest.mark.asyncio
async def test_credit_and_streams_are_gauged() -> None:
    async with staged() as stage, stage.peer("tcp") as peer:
        stage.handlers.watch_last = 2
        await peer.send(watch(1, 10), watch(3, 0x7FFFFFFF))
        for _ in range(4):
            await peer.receive()
        _, body = await get(stage, "/metrics")
        assert "tidings_streams_open 2.0" in body
        assert "tidings_credit_outstanding 8.0" in body
        assert 'tidings_connections{transport="tcp"} 1.0' in body


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("who", "headers", "status"),
    [
        ("loopback", {}, 200),
        ("loopback", {"X-Forwarded-For": "203.0.113.9"}, 403),
        ("loopback", {"Forwarded": "for=203.0.113.9"}, 403),
        ("anyone", {"X-Forwarded-For": "203.0.113.9"}, 200),
        ("nobody", {}, 403),
    ],
)
async def test_who_may_read_metrics_is_a_setting(who: str, headers: dict[str, str], status: int) -> None:
    async with staged(replace(SETTINGS, http=HttpSettings(port=0, metrics=who))) as stage:
        answer, _ = await get(stage, "/metrics", headers=headers)
        assert answer.status == status


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/", "/app.js", "/health", "/metrics", "/nowhere", "/rsocket"])
async def test_every_answer_has_the_common_headers(path: str) -> None:
    async with staged() as stage:
        answer, _ = await get(stage, path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == ("no-cache" if path in {"/", "/app.js"} else "no-store")
        assert answer.headers["Server"] == "Tidings"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/../etc/passwd", 404),
        ("POST", "/health", 405),
        ("DELETE", "/", 405),
        ("GET", "/rsocket", 426),
        ("POST", "/rsocket", 405),
    ],
)
async def test_errors_are_json_with_a_sentence(method: str, path: str, status: int) -> None:
    async with staged() as stage:
        answer, body = await get(stage, path, method)
        assert answer.status == status
        assert answer.content_type == "application/json"
        told = json.loads(body)
        assert told["status"] == status
        assert told["text"]
        if status == 405:
            assert "GET" in answer.headers["Allow"]
        assert stage.metrics.http_responses[str(status)] == 1


@pytest.mark.asyncio
async def test_head_has_the_headers_of_get_and_no_body() -> None:
    async with staged() as stage:
        answer, body = await get(stage, "/health", "HEAD")
        assert (answer.status, body) == (200, "")


def test_a_probe_of_the_same_name_replaces_the_first() -> None:
    metrics = Metrics()
    metrics.probe("tidings_x", "X.", lambda: 1.0)
    metrics.probe("tidings_x", "X.", lambda: {"a": 2.0}, label="kind", grows=True)
    assert b'tidings_x_total{kind="a"} 2.0' in metrics.page()
    assert b"tidings_x 1.0" not in metrics.page()
