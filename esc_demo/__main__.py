"""Entry point of `python -m esc_demo`."""

from esc_demo.cli import main

main()
