"""What lathe costs, measured against the floor: the encoders' own work."""
