"""HTTP: health, metrics, the chat page, upgrades to WebSocket."""
