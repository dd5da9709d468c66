"""RSocket over TCP and WebSocket."""
