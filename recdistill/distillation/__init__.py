"""How a student is trained by any of the objectives: methods by name, fed and combined.

The shape, from the outside in:

- `methods`: what a person asks for, `method="rrd"` or `{"rrd": {"weight": 1.0, …}, "de": {…}}`, read and checked into
  `Methods`. A weight or any numeric setting may be a schedule (`schedules`); a weight may adapt (`adaptive`).
- `student`: what a model must give to be taught: from a batch, user vectors, item vectors and biases.
- `feeds`: from an objective's arguments to tensors. An argument's *name* says what it is (`student`, `teacher`, `mask`,
  `weight`, `tail_mass`, `gumbel` …), and every list of items has a source of candidates, named in the objective's own
  file (`Objective.shown`) or in the config. So a new method is its file, a line in the registry, a test, a row of docs.
    · `list_feed`: all lists of an objective become columns of one matrix (batch, C) of candidates, whose scores the
      student computes once; the lists are handed over as places in it. Where the catalogue itself is shown, C is the
      catalogue and a place is an item row.
    · `vector_feed`: vectors of users and items of the batch; `graph_feed`: with their neighbours; `item_feed`: an item
      with its users.
- `taught`: the loss of one training. Total = label_share · labels + (1 - label_share) · Σ weight · method.

Draws of a step depend on the seed and the number of the step alone, and the student's own lists are found anew at the
start of an epoch: a training that goes on from its parameters and its step goes on as if it had never stopped.
"""
