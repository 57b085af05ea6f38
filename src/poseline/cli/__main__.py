"""`python -m poseline.cli`."""

from poseline.cli import main

main()
