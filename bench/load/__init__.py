"""The second process: makes the load, measures it, prints one line of JSON."""
