"""The arithmetic that instructions mean: a plain form and a fast form, equal bit for bit."""
