"""Base model, methods and benchmarks put together into one table."""
