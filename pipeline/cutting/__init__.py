"""Cutting encoded streams into chunks on the grid, without touching a coded frame."""
