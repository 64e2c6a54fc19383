"""From records to a trained model: items, forest, reference, preflight, loop, checkpoints, health."""
