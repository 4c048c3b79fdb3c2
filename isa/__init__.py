"""The machine as the programmer sees it: instructions, state, programs, targets."""
