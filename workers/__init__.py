"""Dramatiq: the broker, the actors, the job ledger and its recovery."""
