"""Recordings that were damaged in known ways, and how many of them are known again."""
