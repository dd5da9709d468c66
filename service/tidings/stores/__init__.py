"""Where rooms and their logs are kept. `memory` forgets at the end, `sqlite` does not; both answer alike.

What an event does is written once, in `rules`, over the few tables of `rows.Tables`; what words are is written once,
in `words`. A store brings its tables, its queries and its way to make things durable.
"""
