"""Which items an objective is shown, where the whole catalogue is too much."""
