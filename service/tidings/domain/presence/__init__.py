"""Presence, status and typing."""
