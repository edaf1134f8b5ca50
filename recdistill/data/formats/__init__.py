"""Where a log comes from: one file for each format."""
