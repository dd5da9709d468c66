"""Pages, ranges and search of the log."""
