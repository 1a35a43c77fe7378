"""Music with known tempo and key, and how well lathe hears both."""
