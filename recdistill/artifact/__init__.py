"""A trained model as a folder that any program can check and load; nothing in it is ever executed."""

from __future__ import annotations

from recdistill.artifact.doctor import doctor
from recdistill.artifact.load import Artifact, load
from recdistill.artifact.save import save
from recdistill.artifact.titles import Titles

__all__ = ["Artifact", "Titles", "doctor", "load", "save"]
