"""Serving requests of any transport: method binding, permission, limits, errors."""
