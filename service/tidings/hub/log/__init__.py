"""Fan-out of rooms' logs: every subscription is a cursor."""
