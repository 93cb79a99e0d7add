"""So that `python -m flows.cli` is `tutti`."""

from flows.cli import main

if __name__ == "__main__":
    main()
