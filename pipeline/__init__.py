"""Pure media: a master goes in as a path, renditions come out as objects."""
