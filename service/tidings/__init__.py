"""Tidings: chat, presence and history over RSocket."""

__version__ = "0.1.0"
