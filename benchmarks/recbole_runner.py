"""RecBole's side of `benchmarks/recbole.py`: run by the interpreter of its own environment, which has no recdistill.

    python -I recbole_runner.py FOLDER MODEL SEED

FOLDER holds the log as RecBole's atomic files, `log/log.train.inter` and `log/log.valid.inter`, with rows as ids. The
model trains with RecBole's default settings. After every epoch its users' and items' vectors, in the order of those
ids, are written to FOLDER as `users.npy` and `items.npy`, one line of JSON says the epoch and the seconds of training
so far (the processor's and the wall's), and one line with NDCG@20 on valid, or `stop`, is awaited.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import recbole
import scipy
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.trainer import Trainer
from recbole.utils import get_model, init_seed

METRIC = "ndcg@20"


class Stopped(Exception):
    """The time given is spent."""


class Measured(Trainer):
    """RecBole's trainer, whose epochs are timed and whose valid part is measured elsewhere."""

    def __init__(self, config: Config, model: Any, *, dataset: Any, folder: Path) -> None:
        super().__init__(config, model)
        self._dataset, self._folder = dataset, folder
        self._epochs, self._processor, self._wall = 0, 0.0, 0.0

    def _train_epoch(self, *args: Any, **kwargs: Any) -> Any:
        processor, wall = time.process_time(), time.perf_counter()
        loss = super()._train_epoch(*args, **kwargs)
        self._processor += time.process_time() - processor
        self._wall += time.perf_counter() - wall
        self._epochs += 1
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        self._write_vectors()
        print(json.dumps({"epoch": self._epochs, "processor": self._processor, "wall": self._wall}), flush=True)
        answer = sys.stdin.readline().strip()
        if answer in ("stop", ""):  # or nobody listens any more
            raise Stopped
        return {METRIC: float(answer)}

    @torch.no_grad()
    def _write_vectors(self) -> None:
        model = self.model
        if hasattr(model, "norm_adj_matrix"):
            users, items = model.forward()
        else:
            users, items = model.user_embedding.weight, model.item_embedding.weight
        fields = {"users": (users, self._dataset.uid_field), "items": (items, self._dataset.iid_field)}
        for name, (table, field) in fields.items():
            ids = self._dataset.token2id(field, [str(row) for row in range(self._dataset.num(field) - 1)])
            np.save(self._folder / f"{name}.npy", table.numpy()[ids])


def main() -> None:
    folder, name, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    sys.argv = sys.argv[:1]  # RecBole reads settings from the command line
    settings = {
        "data_path": str(folder),
        "benchmark_filename": ["train", "valid", "valid"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "checkpoint_dir": str(folder / "saved"),
        "use_gpu": False,
        "show_progress": False,
        "seed": seed,
        "metrics": ["NDCG"],
        "topk": [20],
        "valid_metric": METRIC.upper(),
    }
    config = Config(model=name, dataset="log", config_dict=settings)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, valid, _ = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train.dataset)
    shown = ("embedding_size", "n_layers", "reg_weight", "train_batch_size", "learning_rate", "epochs", "stopping_step")
    told = {
        "versions": {
            "recbole": recbole.__version__, "torch": torch.__version__, "numpy": np.__version__,
            "scipy": scipy.__version__, "pandas": pandas.__version__,
        },
        "threads": torch.get_num_threads(),
        "settings": {key: config[key] for key in shown if config[key] is not None},
        "users": dataset.user_num - 1,
        "items": dataset.item_num - 1,
        "train_rows": len(train.dataset),
    }  # fmt: skip
    print(json.dumps(told), flush=True)
    try:
        Measured(config, model, dataset=dataset, folder=folder).fit(train, valid, verbose=False, saved=False)
    except Stopped:
        return


if __name__ == "__main__":
    main()
