"""One student turned into a smaller one."""
