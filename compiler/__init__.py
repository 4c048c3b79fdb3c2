"""From a network to a program: read, derive the training graph, schedule, emit."""
