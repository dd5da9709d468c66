"""RFC 6455 frames and permessage-deflate, as a library for transports."""
