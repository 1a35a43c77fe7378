"""What is remembered for a while only: sessions and limits in Redis, or limits in the process."""
