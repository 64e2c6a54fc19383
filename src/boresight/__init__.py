"""Boresight: align multimodal language models with human preference, and prove what changed."""

__version__ = "0.1.0"
