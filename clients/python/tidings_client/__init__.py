"""The Python client of Tidings: messages, presence and history, with demand that is yours from the screen to the disk.

A first program
===============

::

    import asyncio

    import tidings_client


    async def main() -> None:
        async with tidings_client.connect("ws://127.0.0.1:7878/rsocket", user="alice") as client:
            room = client.rooms["general"]
            await room.send("hello")
            async for event in room.watch(after=0):
                print(event.seq, event.actor, event.posted.text)
                if event.posted.text == "hello":
                    break


    asyncio.run(main())

`connect` takes ws://, wss://, tcp:// and tls:// (TCP under TLS) addresses. Say who you are with `token="…"`, or with
`user=` where the service runs with --dev. Entering waits for the first connection and raises `ApiError` with one clear
line if there is none (`wait=True` keeps trying instead). From then on the client reconnects by itself, with
full jitter, until you leave the block.

What follows shows what can be done with a connected `client`. Messages are those of the contract, under
`tidings_client.v1`: a room has a log of *events*, an event has a number (`seq`) in its room, and a *cursor* is a
position in a log.

Writing
=======

::

    room = client.rooms["general"]
    await room.join()
    reply = await room.send("lunch?")
    await room.send("yes", reply_to=reply.cursor.seq)
    await room.edit(reply.cursor.seq, "lunch at noon?")
    await room.react(reply.cursor.seq, "👍")
    await room.mark(read=reply.cursor.seq)
    await room.typing()

A send is answered when it is on the service's disk. If the connection breaks before the answer comes, the
client sends it again, with the same `client_id`, and the service carries it out once: it cannot be lost in silence,
and it cannot double. Bring a `client_id` of your own if your program may be restarted in between. A call is tried for
`call_seconds` (30) in all. Sends that run at the same time may land in any order; await one before you begin the next
where the order matters.

Watching
========

::

    room = client.rooms["general"]
    cursor = (await room.history(limit=1)).head
    await room.send("one")
    await room.send("two")
    async with room.watch(after=cursor) as watch:
        async for event in watch:
            if event.HasField("posted"):
                print(event.actor, event.posted.text)
            cursor = watch.cursor
            if event.posted.text == "two":
                break

`after` says where to begin: a cursor, a seq, 0 for the beginning, or nothing for what happens from now on. Keep
`watch.cursor` and hand it in another day: the watch goes on with the next event. Lost connections, restarts of the
service and a reader that was too slow for it (TOO_SLOW) are healed inside: no event is missing, none comes twice.
What cannot be healed is raised: NOT_FOUND, PERMISSION_DENIED, and CURSOR_LOST when the log does not reach back to the
cursor any more (take a page, and go on from its head).

*Your loop sets the pace.* A watch asks for 64 items ahead of you and for more as you take them; the service keeps no
queue for you, it reads its log when you ask. A loop that does slow work slows its own watch and nothing else. A loop
that stops asks for nothing.

Leaving the loop ends the watch on the service once the object is gone; with `async with` it ends there and then. Many
watches share one connection. With `items=True` the marks come as well: `live` when everything old was sent, `gap` for
what was skipped (`lag=v1.LATEST`) or removed.

Reading
=======

::

    room = client.rooms["general"]
    page = await room.history(limit=20)
    older = await room.history(before=page.events[0].seq, limit=20)
    texts = [event.posted.text async for event in room.read(after=0) if event.HasField("posted")]
    found = await client.search("lunch")

`history` gives a page, `read` a whole range at your pace (it ends by itself), `search` messages by their words.

Rooms and people
================

::

    await client.rooms.create("kitchen", kind=v1.OPEN, title="Coffee, mostly")
    mine = await client.rooms.list()
    members = await client.rooms["kitchen"].members()
    await client.presence.set(v1.BUSY, "baking")
    async for item in client.presence.watch(room="kitchen"):
        if item.HasField("user"):
            print(item.user.user, v1.Status.Name(item.user.status), item.user.text)
        if item.HasField("live"):
            break

`presence.watch` and `rooms.watch` give the latest state of everything they are about, then `live`, then changes. A slow
reader gets the newest state and never a backlog. After a reconnect states may come again: take each item as
the state of its user or room.

Everything over one stream
==========================

::

    async with client.channel() as channel:
        await channel.open("general")
        await channel.send("general", "over the channel")
        async for item in channel:
            if item.event.event.posted.text == "over the channel":
                print(item.room, item.event.event.seq)
                break

A channel carries many rooms, their presence, and your commands. It is resumed like everything else.

Observables
===========

::

    from reactivex import operators as ops

    enough = asyncio.Event()
    client.rx.watch("general", after=0).pipe(
        ops.filter(lambda event: event.HasField("posted")),
        ops.map(lambda event: event.posted.text),
        ops.take(3),
    ).subscribe(on_next=print, on_completed=enough.set)
    await enough.wait()

See `tidings_client.rx` for what Rx cannot say about backpressure.

When something goes wrong
=========================

::

    try:
        await client.rooms["no such room"].send("hello?")
    except tidings_client.ApiError as failure:
        print(failure.code, failure.text)
    print(client.state, await client.session.ping())

Everything raised here is a `ApiError`: its `code` is one of `Code`, its `text` a sentence that says what to do. What
passes by itself is not raised but waited for; `tidings_client.errors` has the table. `client.state` tells how the
connection is, and `async for state in client.states()` every change of it: CONNECTING, CONNECTED, RECONNECTING,
REFUSED (the service does not take this token: nothing is tried any more, everything that waits raises
UNAUTHENTICATED), CLOSED.

Tokens run out. Give `token=` a function, plain or async, that returns a fresh one: it is asked on every connection, and
before the token runs out, and the new one is handed over on the living connection. Or call
`client.session.refresh(token)` yourself.

Users have the names that their tokens' `sub` gives them. What no name may have in it is escaped there: the subject
`auth0|5f7c` is the user `auth0=7c5f7c`. `tidings_client.user_to_subject(event.actor)` is the subject again.

What else there is to know
==========================

A client belongs to one event loop and to its thread; from other threads use `asyncio.run_coroutine_threadsafe`.
Cancelling a task is safe at any point: a call that is cancelled cancels its request (which may have been carried out
already), a cancelled `async for` leaves its watch where it was. `client.call("chat.send", request, v1.SendReply)`
calls any route of the contract; `client.fire_and_forget(route, request)` does not wait for the reply. With `json=True`
payloads are JSON, which is readable in a packet capture.
"""

from tidings.contract import v1
from tidings.contract.user_ids import user_to_subject
from tidings_client.backoff import BackoffPolicy
from tidings_client.channel import Channel
from tidings_client.client import Client, connect
from tidings_client.errors import ApiError, Code
from tidings_client.reconnector import ClientState
from tidings_client.rooms import Room
from tidings_client.watch import Watch

__all__ = [
    "ApiError",
    "BackoffPolicy",
    "Channel",
    "Client",
    "ClientState",
    "Code",
    "Room",
    "Watch",
    "connect",
    "user_to_subject",
    "v1",
]
