"""One Chromium for each process of tests; each test has tabs, storage and a service of its own."""

import warnings

from browser import chromium

if not chromium.AVAILABLE:
    warnings.warn("Chromium or Node is not on the PATH: the tests in a browser are left out", stacklevel=1)
    collect_ignore_glob = ["test_*.py"]
