"""`make bench`: measures Tidings and its peers in the same run, and reports ratios.

    benchmarks/  what is measured: a file for each kind of work, with its targets
    run.py       gives a benchmark its servers and its load; `cores` separates them, `servers` starts and stops them
    load/        the second process, one scenario per file; `sockets` and `codec` are its ends of the connections
    peers/       the peers: rsocket-py, rsocket-js, and bare programs as limits
    long_log.py  a room with a long log, made once
    report.py    the table and RESULTS.md; chart.py draws

A new benchmark is a function that yields measurements, and a `Benchmark` in its file's BENCHMARKS. A run that is fast
and wrong fails: loads return the errors they saw, and fan-out compares the bytes of all readers.
"""
