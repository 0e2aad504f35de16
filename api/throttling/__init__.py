"""How many failures are too many, and where they are counted."""
