"""What the domain requires of stores and clocks."""
