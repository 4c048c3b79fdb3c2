"""What a number is: formats and their rounding, elementary functions, random numbers, exact accumulators."""
