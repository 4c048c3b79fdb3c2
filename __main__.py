"""`python -m snnc`: the same as the `snnc` command."""

from .cli import main

if __name__ == "__main__":
    main()
