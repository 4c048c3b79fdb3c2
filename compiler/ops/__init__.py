"""The operators: one class an operator, one file a family."""
