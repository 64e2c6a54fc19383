"""Models: scoring, generation, and what differs between families."""
