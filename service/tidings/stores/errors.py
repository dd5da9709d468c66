"""What keeps a store from opening."""


class StoreError(Exception):
    """The data directory or its database cannot be used. One line that says why and what to do."""
