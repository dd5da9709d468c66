"""Where rooms and their logs are kept. `memory` forgets at the end, `sqlite` does not; both answer alike.

What an event does is written once, in `mutations`, over the few tables of `tables.Tables`; what words are is written
once, in `tokenizer`. A store brings its tables, its queries and its way to make things durable.
"""
