"""What listens on a port: accepting, HTTP heads, limits of connections, timers, TLS."""
