"""What can go wrong at a public door, each as one line: what, where, what was found, how to cure it."""


class RecdistillError(Exception):
    """Base of every error that a user can cause and cure; the command line prints it in one line and exits with 2."""


class DataError(RecdistillError):
    """A log, a split or a table that cannot be used as it is."""


class ConfigError(RecdistillError):
    """A setting that does not exist, or a value that it cannot take."""


class ArtifactError(RecdistillError):
    """A folder that is not a whole, unchanged artifact, knowledge store or run."""


class KnowledgeError(RecdistillError):
    """Knowledge that does not fit the log, or lacks what an objective needs."""
