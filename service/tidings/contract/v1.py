"""Every message and enum of the package `tidings.v1` under one name: `from tidings.contract import v1`."""

from tidings.contract.gen.tidings.v1.chat_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.errors_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.history_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.log_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.options_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.presence_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.receipts_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.rooms_pb2 import *  # noqa: F403
from tidings.contract.gen.tidings.v1.session_pb2 import *  # noqa: F403
