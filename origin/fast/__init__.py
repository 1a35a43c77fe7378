"""The way of most requests: past the framework, from what is remembered, to the same answers."""
