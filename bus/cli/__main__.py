"""``python -m bus.cli``: the command, where no script of it is on the path."""

from bus.cli.main import main

if __name__ == "__main__":
    main()
