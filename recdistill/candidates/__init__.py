"""Which items an objective is shown, where the whole catalogue is too much.

Two kinds. `mixed` and `uniform_negatives` feed losses that are written for a whole batch at once. Everything else is a
`Candidates`: a small frozen dataclass of settings that draws items for every user of a batch as one array with a mask,
from the teacher's lists, the student's own, the log, or chance. An objective names one for each of its lists
(`Objective.shown`), a config may name others, and `Joined` puts several into one list.
"""
