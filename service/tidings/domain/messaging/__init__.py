"""Messages: send, edit, delete, react, watch; publication of commits."""
