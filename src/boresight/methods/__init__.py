"""One published method per file: inputs, objective, stages, defaults."""
