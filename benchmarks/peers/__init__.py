"""The contestants of `training_step`: each a worker process in an environment of its own."""
