"""Files of other tools that a network goes out in: one file a format."""
