"""Limits of requests, for every transport. The fields that configure them stand in `connections` of the settings."""

from typing import Final

# What a request holds on its user's account (`contract.memory_account`) while it is served: the stream, the responder
# and a task; and for each byte of it, what it becomes. Measured: 1.0 KiB for an open watch without its subscription; a
# text is held as frame, message, event and in the queue of the store, an empty name of two bytes takes 16. (All sizes
# are what tracemalloc measures for a thousand of the kind, plus a quarter for the allocator and growing tables.)
STREAM_MEMORY_BYTES: Final = 1_280
MEMORY_BYTES_PER_REQUEST_BYTE: Final = 8
# Streams of a lost connection that end at once; a person's connection has no more. The others end in deferred steps.
# 0.1 ms.
CANCELLED_AT_ONCE_MAX: Final = 16
# A session of presence LEASED stays online so long after its last request has ended: a client that polls asks again
# within a second, a phone that changes networks within half a minute.
LEASE_SECONDS: Final = 60.0
DRAINED_PER_ROUND: Final = 32  # connections that are drained in one round of the loop
