"""session.ping: there and back, with routing, identity and permission, and nothing else."""

from collections.abc import Iterator

from bench.benchmarks.benchmark import BARE, RSOCKET_JS, RSOCKET_PY, TIDINGS, Benchmark, Measurement, Samples, Target
from bench.run import BenchmarkRun


def throughput(run: BenchmarkRun) -> Iterator[Measurement]:
    """Answers a second."""
    samples = Samples()
    with run.servers((TIDINGS, RSOCKET_PY, RSOCKET_JS, BARE)) as servers:
        for _ in range(run.repetitions):
            for name, server in servers.items():
                work = {"connections": 10, "in_flight": 16, "seconds": run.seconds, "route": "session.ping"}
                samples.add(name, run.load("calls", server, **work))
    targets = (Target("≥", 10, RSOCKET_PY), Target("≥", 2, RSOCKET_JS))
    title = "session.ping, 10 connections × 16 in flight"
    yield Measurement(title, "answers/s", samples.values, targets, samples.processor_note, errors=tuple(samples.errors))


def latency(run: BenchmarkRun) -> Iterator[Measurement]:
    """Time of one."""
    with run.servers((TIDINGS, BARE)) as servers:
        for transport, label in (("tcp", "TCP"), ("ws", "WebSocket")):
            ports = {name: server.tcp_port if transport == "tcp" else server.port for name, server in servers.items()}
            samples = Samples()
            for _ in range(run.repetitions):
                answer = run.load("sequential_pings", None, ports=ports, transport=transport, seconds=run.seconds)
                for name in ports:
                    samples.add(name, answer, key=name)
            yield Measurement(f"session.ping, one in flight, {label}", "µs", samples.values, (Target("≤", 1.5, BARE),))


BENCHMARKS = (
    Benchmark(
        "ping",
        "each reply triggers the next request",
        throughput,
        known_cause="Of about 5 µs of processor time per reply, 2.6 are the interpreter's (unmasking, the frame's "
        "header, the route, the permission, the answer's frame), the rest is the kernel's and the loop's for reads "
        "and writes that carry a few requests each. The next step would be compiled code.",
    ),
    Benchmark(
        "ping-alone",
        "median of one request at a time from a blocking socket, each server asked once before the next round, since "
        "this machine answers in 100 or in 300 µs for minutes at a time, for every server",
        latency,
        known_cause="The interpreter takes 10 µs and more for an answer where nothing is in the processor's caches.",
    ),
)
