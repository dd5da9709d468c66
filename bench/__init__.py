"""`make bench`: every figure beside its peers, measured in the same run, as a ratio.

    benchmarks/  what is measured: a file for each kind of work, with its targets
    run.py     gives a benchmark its servers and its load; `cores` keeps them apart, `servers` starts and ends them
    load/      the second process, one scenario a file; `sockets` and `codec` are its ends of the connections
    peers/     what Tidings stands beside: rsocket-py, rsocket-js, and the bare limits
    long_log.py  a room with a long log, made once
    report.py  the table and RESULTS.md; chart.py draws

A new benchmark is a function that yields measurements, and a `Benchmark` in its file's BENCHMARKS. A run that is
fast and wrong fails: loads return what they saw go wrong, and fan-out compares the bytes of all readers.
"""
