"""Types, graphs, contractions, schedules, and the one text for source and dumps."""
