"""Ways to split a log, each a function of the log and its own settings; `recdistill.data.splits` knows them by name."""
