"""What is measured, side by side with peers; never a timed test."""
