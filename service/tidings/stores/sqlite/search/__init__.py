"""Full-text search on SQLite."""
