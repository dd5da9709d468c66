"""Puts loads on servers: a line of JSON for each, `["fanout", {"port": 7878, "readers": 1000, …}]`, in and out.

By hand, beside a profiler, a single one: `python -m bench.load fanout '{"port": 7878, "readers": 1000, …}'`.

Each of them runs in a fork of this process. What takes long to import is imported here, once; what is different in each
load, as the beginning of its client ids, belongs to the modules of the scenarios and is imported in the fork.
"""

import asyncio
import gc
import json
import os
import sys
import traceback

import uvloop

from tidings.contract import v1

PRELOADED = (asyncio, uvloop, v1)


def main() -> None:
    """Until the standard input ends, or the one load that was asked for by hand."""
    if sys.argv[1:]:
        print_json(run_scenario(f'["{sys.argv[1]}", {sys.argv[2]}]'))
        return
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            print_json(run_scenario(line))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            print_json({"failed": f"the load ended with status {status}"})


def run_scenario(line: str) -> dict[str, object]:
    """Carry out one load."""
    from bench.load.scenarios import SCENARIOS

    try:
        scenario, parameters = json.loads(line)
        return uvloop.run(SCENARIOS[scenario](**parameters))
    except BaseException:
        return {"failed": traceback.format_exc()}


def print_json(result: dict[str, object]) -> None:
    """One line."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()


main()
