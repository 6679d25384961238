"""`python -m pocketzoo`, the same as the command `pocketzoo`."""

from .cli.main import main

if __name__ == "__main__":
    main()
