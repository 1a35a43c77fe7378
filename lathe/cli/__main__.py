"""``python -m lathe.cli`` is ``lathe``."""

from lathe.cli import main

main()
