"""What a finished run shows when it is looked at again: who lost what, where models disagree, and why."""
