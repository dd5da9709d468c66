"""The bare limit of reading a log: apsw scans the rows, their bytes are put into frames and written.

    python -m bench.peers.bare_history DATABASE

One connection at a time. The handshake and the first two frames are waited for, then everything is written as fast as
the socket takes it; credit is neither asked for nor heard.
"""

import json
import os
import socket
import sys
import threading

import apsw

from bench import codec
from bench.peers.bare import handshake_response, server_message
from bench.peers.message_log import EPOCH
from tidings.stores.sqlite.limits import DEFAULT_LIMITS
from tidings.stores.tables import event_id_range

FRAMES_PER_WRITE = 256
SELECT = "SELECT data FROM events WHERE id BETWEEN ? AND ? ORDER BY id"
ROOM_NUMBER = 1


def varint(value: int) -> bytes:
    """As Protobuf writes it."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def main() -> None:
    """Listen on a free port, print it, serve one reader after the other."""
    database = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READWRITE)
    database.pragma("cache_size", -(DEFAULT_LIMITS.reader_cache_bytes // 1024))
    listening = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"ws": listening.getsockname()[1]}), flush=True)
    threading.Thread(target=end_with_parent, daemon=True).start()
    while True:
        peer, _ = listening.accept()
        with peer:
            serve(peer, database)


def end_with_parent() -> None:
    """When the other end of the standard input is closed."""
    sys.stdin.read()
    os._exit(0)


def serve(peer: socket.socket, database: apsw.Connection) -> None:
    """One reader: the whole log."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += peer.recv(65_536)
    peer.sendall(handshake_response(head))
    peer.recv(65_536)
    epoch = b"\x0a" + bytes((len(EPOCH),)) + EPOCH.encode()
    frames: list[bytes] = []
    for seq, (event,) in enumerate(database.execute(SELECT, event_id_range(ROOM_NUMBER)), 1):
        cursor = epoch + b"\x10" + varint(seq)
        item = b"\x0a" + varint(len(cursor)) + cursor + b"\x12" + varint(len(event)) + event
        frames.append(server_message(codec.frame(1, codec.PAYLOAD, codec.NEXT, item)))
        if len(frames) == FRAMES_PER_WRITE:
            peer.sendall(b"".join(frames))
            frames.clear()
    frames.append(server_message(codec.frame(1, codec.PAYLOAD, codec.COMPLETE)))
    peer.sendall(b"".join(frames))
    while peer.recv(65_536):
        pass


if __name__ == "__main__":
    main()
