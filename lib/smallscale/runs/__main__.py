"""`python -m smallscale.runs` is the command, run by that very Python."""

from smallscale.runs.entry import main

if __name__ == "__main__":
    main()
