"""The Python client of Tidings."""

from tidings.contract import v1
from tidings_client.channel import Channel
from tidings_client.client import Client, connect
from tidings_client.errors import Code, Failure
from tidings_client.keeper import State
from tidings_client.reconnect import Jitter
from tidings_client.rooms import Room
from tidings_client.watch import Watch

__all__ = ["Channel", "Client", "Code", "Failure", "Jitter", "Room", "State", "Watch", "connect", "v1"]
