"""`make bench`: every figure beside its peers, measured in the same run, as a ratio.

    rows/      what is measured: a file for each kind of row, with the marks it shall reach
    run.py     gives a row its servers and its load; `cores` keeps them apart, `servers` starts and ends them
    load/      the second process, one scenario a file; `sockets` and `wire` are its ends of the connections
    peers/     what Tidings stands beside: rsocket-py, rsocket-js, and the bare limits
    log.py     a room with a long log, made once
    report.py  the table and RESULTS.md; chart.py draws

A new row is a function that yields lines, and a `Row` in its file's ROWS. A run that is fast and wrong fails: loads
return what they saw go wrong, and fan-out compares the bytes of all readers.
"""
