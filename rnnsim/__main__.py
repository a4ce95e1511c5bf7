"""``python -m rnnsim``."""

from rnnsim.cli import main

main()
