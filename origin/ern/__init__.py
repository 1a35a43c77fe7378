"""Releases as the industry's own messages tell of them: DDEX ERN 3.8.2 and 4.1 to 4.3."""
