"""Procedural worlds: media drawn from a seed, exact facts about them, and an oracle that needs no model."""
