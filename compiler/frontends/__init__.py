"""Languages in which networks come in: one file a language."""
