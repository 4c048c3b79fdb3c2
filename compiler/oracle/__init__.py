"""How the oracle computes one statement on whole tensors: its own numbers, layouts, contractions and windows."""
