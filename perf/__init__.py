"""Speed against the field, measured alternately in one run."""
