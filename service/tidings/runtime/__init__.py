"""The process: memory allocator, signals, measured steps of the event loop."""
