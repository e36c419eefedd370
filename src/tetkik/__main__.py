"""`python -m tetkik`: the command line."""

from tetkik.cli import main

main()
