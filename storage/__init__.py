"""Bytes: immutable objects under keys, on a local folder (and, through the same port, elsewhere)."""
