"""One benchmark per file: tasks, prompt, scorer, metrics."""
