"""Protobuf's JSON mapping, read exactly and written from plans."""
