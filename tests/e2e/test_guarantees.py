"""What the README promises, shown on a real service from the outside."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

import tidings_client
from service_runner import ServiceProcess, running_service
from tidings.contract import v1

WATCHERS = 2_000
CONNECTIONS = 20
SENDERS = 20
MESSAGES_EACH = 5
# Between attempts to connect again: a start of the service takes long enough where the machine is busy.
FAST_BACKOFF = tidings_client.BackoffPolicy(base_seconds=0.05, cap_seconds=0.5)


@pytest.mark.asyncio
async def test_two_thousand_watchers_see_the_same_sequence_while_twenty_people_send(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        clients = [
            await tidings_client.connect(service.ws_url, user=f"reader{n}").__aenter__() for n in range(CONNECTIONS)
        ]
        speakers = [
            await tidings_client.connect(service.tcp_url, user=f"speaker{n}").__aenter__() for n in range(SENDERS)
        ]
        watches = [clients[n % CONNECTIONS].rooms["general"].watch() for n in range(WATCHERS)]
        await asyncio.gather(*(watch.wait_started() for watch in watches))
        total = SENDERS * MESSAGES_EACH

        async def seen(watch: tidings_client.Watch[v1.Event]) -> list[tuple[int, str]]:
            events: list[tuple[int, str]] = []
            async with watch:
                while len(events) < total:
                    event = await anext(watch)
                    events.append((event.seq, event.posted.text))
            return events

        async def speak(n: int) -> None:
            for number in range(MESSAGES_EACH):
                await speakers[n].rooms["general"].send(f"{n}: {number}")

        *sequences, _ = await asyncio.gather(
            *(seen(watch) for watch in watches), asyncio.gather(*(speak(n) for n in range(SENDERS)))
        )
        assert [seq for seq, _ in sequences[0]] == list(range(1, total + 1))
        assert all(sequence == sequences[0] for sequence in sequences)
        for client in clients + speakers:
            await client.aclose()


class Ledger:
    """Texts by seq, and a way to wait for more of them."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self._changed = asyncio.Event()

    def write(self, seq: int, text: str) -> None:
        assert seq not in self.texts, f"seq {seq} was given twice"
        self.texts[seq] = text
        self._changed.set()

    async def wait_until(self, condition: Callable[[dict[int, str]], bool]) -> None:
        while not condition(self.texts):
            self._changed.clear()
            await self._changed.wait()


@pytest.mark.asyncio
async def test_a_kill_loses_nothing_that_was_acknowledged_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    acknowledged, seen = Ledger(), Ledger()
    stop = asyncio.Event()

    async def speak(client: tidings_client.Client, name: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            text = f"{name} {number} 世界"
            reply = await client.rooms["general"].send(text)
            acknowledged.write(reply.cursor.seq, text)

    async def listen(client: tidings_client.Client) -> None:
        async for event in client.rooms["general"].watch(after=0):
            seen.write(event.seq, event.posted.text)

    async with (
        ServiceProcess(tmp_path / "data") as service,
        tidings_client.connect(service.ws_url, user="ann", backoff=FAST_BACKOFF) as ann,
        tidings_client.connect(service.tcp_url, user="bob", backoff=FAST_BACKOFF) as bob,
        tidings_client.connect(service.ws_url, user="eve", backoff=FAST_BACKOFF) as eve,
        asyncio.TaskGroup() as tasks,  # one that fails ends the test, instead of a wait for what it will never do
    ):
        listening = tasks.create_task(listen(eve))
        speaking = [tasks.create_task(speak(ann, "ann")), tasks.create_task(speak(bob, "bob"))]
        for _ in range(3):
            enough = len(acknowledged.texts) + 200
            await acknowledged.wait_until(lambda texts, enough=enough: len(texts) >= enough)
            await service.kill()
            await service.start()
        stop.set()
        await asyncio.gather(*speaking)
        head = max(acknowledged.texts)
        await seen.wait_until(lambda texts: head in texts)
        listening.cancel()
    assert list(seen.texts) == list(range(1, len(seen.texts) + 1))
    assert {seq: seen.texts[seq] for seq in acknowledged.texts} == acknowledged.texts
    assert len(set(seen.texts.values())) == len(seen.texts)


def resident_bytes(process: int) -> int:
    """What the process holds in memory."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def bytes_beyond_caches(service: ServiceProcess) -> float:
    """What the process holds, without the pages that SQLite keeps (the index is written meanwhile, later on a busy
    machine) and without what was freed and not given back."""
    async with aiohttp.ClientSession() as http, http.get(f"{service.http_url}/metrics") as response:
        said = dict(line.split(" ", 1) for line in (await response.text()).splitlines() if not line.startswith("#"))
    assert service.process is not None
    held = resident_bytes(service.process.pid)
    return held - float(said["tidings_sqlite_memory_bytes"]) - float(said["tidings_malloc_free_bytes"])


@pytest.mark.asyncio
async def test_a_slow_reader_of_a_long_history_costs_no_memory_and_delays_nobody(tmp_path: Path) -> None:
    messages = 10_000
    text = "一个相当长的消息 " * 40  # about 1 KiB, so that buffering the room would cost 10 MiB
    async with (
        ServiceProcess(tmp_path / "data") as service,
        tidings_client.connect(service.ws_url, user="ann") as ann,
        tidings_client.connect(service.ws_url, user="eve") as eve,
    ):
        room = ann.rooms["general"]
        for start in range(0, messages, 500):
            await asyncio.gather(*(room.send(f"{n} {text}") for n in range(start, start + 500)))
        await eve.rooms.create("elsewhere", kind=v1.OPEN)
        reading = ann.rooms["general"].read(after=0)
        before = 0.0
        read = 0
        async for event in reading:
            read += 1
            assert event.seq == read
            await asyncio.sleep(0.01)  # the reader's own pace, not a wait for anything
            await eve.rooms["elsewhere"].send(f"{read}")
            if read == 50:
                before = await bytes_beyond_caches(service)
            if read == 200:
                break
        assert await bytes_beyond_caches(service) - before < 4 * 2**20
