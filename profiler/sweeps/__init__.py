"""Many points: a network at many sizes, many networks, or a stream of candidates → one long table."""
