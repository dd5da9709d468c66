"""Limits, rate limits and quotas."""
