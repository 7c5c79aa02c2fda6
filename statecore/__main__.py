"""`python -m statecore` and the `statecore` script."""

from statecore.cli import main

if __name__ == "__main__":
    main()
