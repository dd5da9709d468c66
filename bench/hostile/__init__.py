"""Honest clients beside one hostile peer: `make hostile`."""
