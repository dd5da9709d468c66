"""Protocol engines without I/O."""
