"""The steps from graph to program: one file a step."""
