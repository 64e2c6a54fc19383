"""Untrusted bytes to pixels, safely, and the variants of a picture that objectives compare."""
