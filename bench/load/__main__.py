"""python -m bench.load fanout '{"port": 7878, "readers": 1000, …}'"""

import json
import sys

import uvloop

from bench.load.alone import alone, alone_send
from bench.load.calls import calls
from bench.load.crowds import idle, reconnect
from bench.load.fanout import fanout
from bench.load.paced import paced
from bench.load.presence import presence
from bench.load.reading import pages, read, search

SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (alone, alone_send, calls, fanout, idle, pages, paced, presence, read, reconnect, search)
}

print(json.dumps(uvloop.run(SCENARIOS[sys.argv[1]](**json.loads(sys.argv[2])))))
