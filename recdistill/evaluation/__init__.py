"""How good, how alike, how small and how fast: models measured side by side."""
