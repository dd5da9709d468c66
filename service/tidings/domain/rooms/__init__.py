"""Rooms, members and the list of rooms."""
