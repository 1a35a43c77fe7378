"""Words to players: one model of a track, rendered as JSON and HLS by pure functions."""
