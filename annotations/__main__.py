"""Entry point of `python -m annotations`."""

from annotations.cli import main

main()
