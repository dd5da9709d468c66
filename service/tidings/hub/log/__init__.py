"""Fan-out of rooms' logs: every reader is a cursor."""
