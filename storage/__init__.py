"""Bytes: immutable objects under keys, behind one port."""
