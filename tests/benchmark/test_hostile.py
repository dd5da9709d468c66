"""`make hostile`: each attack is carried out, and honest clients are heard beside it."""

import time
from pathlib import Path
from typing import Any

import pytest
from bench.hostile import __main__ as hostile
from bench.hostile.attacks import ATTACKS
from bench.hostile.honest_clients import HonestClient, measure
from bench.hostile.peer import run_attack
from bench.load.clients import connect_all

from service_runner import running_service
from tidings.contract import v1
from tidings.domain.identity.jwt import issue_token

SECRET = "a secret of this test, 32 bytes long"


def token(user: str) -> str:
    return issue_token(user, secret=SECRET.encode(), ttl_seconds=60, now_ms=time.time_ns() // 1_000_000)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ATTACKS)
async def test_every_attack_reaches_the_service_and_leaves_it_serving(name: str, tmp_path: Path) -> None:
    async with running_service(tmp_path, dev=False, auth__secret=SECRET, connections__close_seconds=0.05) as service:
        port = service.app.http_port
        client = HonestClient(token("honest"), "square", 0)
        await connect_all(port, [lambda: client.client])
        await client.timed_request("rooms.create", v1.CreateRequest(room="square", kind=v1.OPEN).SerializeToString())
        options: dict[str, Any] = {
            "attack": name,
            "port": port,
            "tcp_port": service.app.tcp_port,
            "room": "square",
            "seconds": 0.1,
            "connections": 1,
            "tokens": [token("mallory")],
        }
        counts = await run_attack(options)
        assert counts["opened"] >= 1
        assert (await measure([client], port, token("honest"), 0.1))["failures"] == []


@pytest.mark.asyncio
async def test_an_attack_too_short_for_a_connection_waits_for_one(tmp_path: Path) -> None:
    async with running_service(tmp_path, dev=False, auth__secret=SECRET, connections__close_seconds=0.05) as service:
        options: dict[str, Any] = {
            "attack": "pings",
            "port": service.app.http_port,
            "tcp_port": service.app.tcp_port,
            "room": "square",
            "seconds": 0,
            "connections": 1,
            "tokens": [token("mallory")],
        }
        assert (await run_attack(options))["opened"] == 1


def test_an_attack_is_passed_by_what_honest_clients_feel() -> None:
    quiet = {"sends": [1.0] * 50, "newcomers": [5.0], "refused": 0, "failures": []}
    good = hostile.AttackResult("x", quiet, {**quiet, "sends": [9.0] * 50}, (1.0, 2.0, 1.0), 0.0, {})
    slow = hostile.AttackResult("x", quiet, {**quiet, "sends": [101.0] * 50}, (1.0, 2.0, 1.0), 0.0, {})
    shut = hostile.AttackResult("x", quiet, {**quiet, "refused": 2}, (1.0, 2.0, 1.0), 0.0, {})
    assert good.problems == []
    assert slow.problems == ["p99 above 100 ms"]
    assert shut.problems == ["2 newcomers turned away"]
