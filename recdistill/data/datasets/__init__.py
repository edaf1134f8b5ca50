"""Data sets by name: where they are published, under which licence, and how they come onto this machine whole."""

from recdistill.data.datasets.catalogue import CATALOGUE, DataSet
from recdistill.data.datasets.fetch import fetch, open_dataset

__all__ = ["CATALOGUE", "DataSet", "fetch", "open_dataset"]
