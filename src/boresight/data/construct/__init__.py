"""Ways of making preference data, one per file."""
