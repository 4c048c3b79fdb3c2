"""What stays in the array and what streams past it: one file a dataflow."""
