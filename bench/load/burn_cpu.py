"""Keeps a core as busy as the load does, without a server: for a bare limit that has no load.

Two cores of a machine are often two halves of one, and what runs alone has the caches and the clock for itself: bare
apsw commits 30 % more a second beside a core that rests. So it is measured beside one that works, as the service is.
"""

from bench import codec
from bench.load.clients import TEXT
from tidings.contract import v1

if __name__ == "__main__":
    number = 0
    while True:
        number += 1
        request = v1.SendRequest(room="call1", client_id=f"busy-{number}", text=TEXT)
        sent = codec.websocket_message(codec.request_response(1, "chat.send", request.SerializeToString()))
        found, rest = codec.split_websocket_messages(b"\x82\x06" + sent[-6:])
