"""Delivered and read positions."""
