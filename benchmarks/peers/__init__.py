"""The contestants of `benchmarks`: each a worker process in an environment of its own, and what they have in common."""
