"""Stores of rooms and their logs: `memory`, not durable, and `sqlite`. They behave the same otherwise.

The effects of an event are written once, in `mutations`, over the tables of `tables.Tables`; the rules of words once,
in `tokenizer`. A store implements its tables, its queries, and its commits.
"""
