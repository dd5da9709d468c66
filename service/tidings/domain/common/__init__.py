"""Helpers that every capability uses."""
