"""`make bench`: every figure beside its peers, measured in the same run, as a ratio."""
