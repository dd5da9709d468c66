"""Authentication, tokens and sessions."""
