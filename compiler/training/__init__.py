"""Learning rules: what turns a network into its training graph, one file a rule."""
