"""Latest values by key: nothing is queued for a slow reader."""
