"""Measuring what a master is like, while it is decoded."""
