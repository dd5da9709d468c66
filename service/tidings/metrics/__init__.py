"""Counters and gauges, and their Prometheus text."""
