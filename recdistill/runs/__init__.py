"""A run: a folder of steps, each done once for the inputs, settings and version that it depends on."""
