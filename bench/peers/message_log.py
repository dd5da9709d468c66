"""What the peers in Python say: the same items and replies as the service, made once for each message."""

from tidings.contract import v1

EPOCH = "0123456789"
AT_MS = 1_700_000_000_000

LIVE = v1.WatchItem(cursor=v1.Cursor(epoch=EPOCH), live=v1.Live()).SerializeToString()
PONG = v1.PingReply().SerializeToString()


class MessageLog:
    """Numbers the messages of each room; nothing is kept."""

    def __init__(self) -> None:
        self.seqs: dict[str, int] = {}

    def append(self, body: bytes) -> tuple[str, bytes, bytes]:
        """A SendRequest → its room, the item for readers, the reply."""
        request = v1.SendRequest.FromString(body)
        seq = self.seqs[request.room] = self.seqs.get(request.room, 0) + 1
        cursor = v1.Cursor(epoch=EPOCH, seq=seq)
        event = v1.Event(
            room=request.room,
            seq=seq,
            at_ms=AT_MS,
            actor="bench",
            client_id=request.client_id,
            posted=v1.Posted(text=request.text),
        )
        item = v1.WatchItem(cursor=cursor, event=event).SerializeToString()
        return request.room, item, v1.SendReply(cursor=cursor, at_ms=AT_MS).SerializeToString()
