"""What Tidings is measured beside: the same work by other libraries, and by nothing but the work."""
