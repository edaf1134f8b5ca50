"""Searches on the valid rows: a model's settings within a budget of minutes."""
