"""`python -m inkmill` is the command `inkmill`."""

from inkmill.cli.main import main

if __name__ == "__main__":
    main()
