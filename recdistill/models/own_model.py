"""A model that somebody else wrote: what it is asked, and what it may answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recdistill.errors import ConfigError

if TYPE_CHECKING:
    from recdistill.serving.histories import Histories
    from recdistill.training.batches import Batch


@dataclass(frozen=True, slots=True)
class OwnHistories:
    """What each user of a batch has used, ragged: `nn.EmbeddingBag` takes `items` and `offsets` as they are.

    Tensors for a torch module, else arrays.
    """

    items: Any
    """(entries,) int64 item rows, user after user"""
    offsets: Any
    """(batch,) int64, where each user's begin"""
    users: Any
    """(entries,) int64, the user's place in the batch"""
    weights: Any
    """(entries,) float32: 1, more where training hides a part of the history and these stand for it, or what the person
    who asks gave them"""
    places: Any = None
    """(entries,) from the end of the user's own order, 0 for the most recent; None where no order is known"""

    def __len__(self) -> int:
        return len(self.offsets)

    def padded(self, length: int, fill: int = -1) -> Any:
        """(batch, length) the last items of each user, the most recent at the end; by row where no order is known."""
        shape = len(self), length
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(self.items, torch.Tensor):
            found, entries = self.items.new_full(shape, fill), torch.arange(len(self.items), device=self.items.device)
            ends = torch.cat([self.offsets[1:], self.offsets.new_full((1,), len(self.items))])
        else:
            found, entries = np.full(shape, fill, np.int64), np.arange(len(self.items))
            ends = np.append(self.offsets[1:], len(self.items))
        from_end = ends[self.users] - 1 - entries if self.places is None else self.places
        kept = from_end < length
        found[self.users[kept], length - 1 - from_end[kept]] = self.items[kept]
        return found


class OwnModel:
    """Asks somebody's model, and refuses in one line what cannot be used of its answer.

    It has `user_vectors(users, histories)` (batch, d) and `item_vectors()` (n_items, d), maybe `item_bias()`
    (n_items,): score = user · item + bias. Or `score(users, histories, items)` (batch, items). `users` are rows of the
    training log, where `user_id` is set; else the model is told -1 for everyone, and knows people by their histories
    alone.
    """

    def __init__(self, model: Any, n_items: int, *, user_id: bool) -> None:
        self.model, self.n_items, self.user_id = model, n_items, user_id
        self.name = type(model).__name__
        has = {method for method in ("user_vectors", "item_vectors", "score") if callable(getattr(model, method, None))}
        self.vectors = {"user_vectors", "item_vectors"} <= has
        if not self.vectors and "score" not in has:
            found = f"only {next(iter(has))}" if has else "none of them"
            raise self.refused(
                "needs user_vectors(users, histories) and item_vectors(), or score(users, histories, items); has "
                f"{found}"
            )
        torch = sys.modules.get("torch")
        self.is_module = torch is not None and isinstance(model, torch.nn.Module)

    def refused(self, why: str) -> ConfigError:
        return ConfigError(f"own model {self.name}: {why}")

    @property
    def device(self) -> Any:
        """Where a module's parameters are; None of what is no module."""
        if not self.is_module:
            return None
        import torch

        return next((one.device for one in self.model.parameters()), torch.device("cpu"))

    def of_batch(self, batch: Batch) -> tuple[Any, OwnHistories]:
        """Users and histories of a training batch."""
        import torch

        bags = batch.bags.by_user
        users = batch.users if self.user_id else batch.users.new_full(batch.users.shape, -1)
        whose = torch.arange(len(users), device=users.device).repeat_interleave(bags.offsets.diff())
        return users, OwnHistories(bags.columns, bags.offsets[:-1], whose, bags.values)

    def of_histories(self, histories: Histories, user_rows: np.ndarray | None) -> tuple[Any, OwnHistories]:
        """The same of people who ask."""
        rows = np.full(len(histories), -1, np.int64)
        if self.user_id and user_rows is not None:
            rows = np.asarray(user_rows, np.int64)
        weights = np.ones(len(histories.items), np.float32) if histories.weights is None else histories.weights
        parts: list[Any] = [
            rows,
            histories.items.astype(np.int64),
            histories.indptr[:-1],
            histories.users.astype(np.int64),
        ]
        parts += [weights, *([] if histories.places is None else [histories.places.astype(np.int64)])]
        if self.is_module:
            import torch

            parts = [torch.from_numpy(np.ascontiguousarray(part)).to(self.device) for part in parts]
        users, items, offsets, of, weights, *places = parts
        return users, OwnHistories(items, offsets, of, weights, places[0] if places else None)

    def user_vectors(self, users: Any, histories: OwnHistories) -> Any:
        """(batch, d), as the model gives them."""
        try:
            found = self.model.user_vectors(users, histories)
        except IndexError as error:
            raise self._unknown(error) from error
        return self._checked("user_vectors", found, (len(histories), None))

    def item_vectors(self) -> Any:
        return self._checked("item_vectors", self.model.item_vectors(), (self.n_items, None))

    def item_bias(self) -> Any:
        """None where the model has none."""
        if not callable(getattr(self.model, "item_bias", None)):
            return None
        return self._checked("item_bias", self.model.item_bias(), (self.n_items,))

    def scores(self, users: Any, histories: OwnHistories) -> Any:
        """(batch, n_items), of a model without vectors."""
        items: Any = np.arange(self.n_items)
        if self.is_module:
            import torch

            items = torch.arange(self.n_items, device=self.device)
        try:
            found = self.model.score(users, histories, items)
        except IndexError as error:
            raise self._unknown(error) from error
        return self._checked("score", found, (len(histories), self.n_items))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Without gradients and dropout; the module is left as it was."""
        if not self.is_module:
            yield
            return
        import torch

        was = self.model.training
        self.model.eval()
        try:
            with torch.no_grad() if self.is_module else nullcontext():
                yield
        finally:
            self.model.train(was)

    def plain(self, what: str, found: Any) -> np.ndarray:
        """float32 on the CPU; refused where it is not finite."""
        if hasattr(found, "detach"):
            found = found.detach().float().cpu().numpy()
        array = np.ascontiguousarray(found, dtype=np.float32)
        if not np.isfinite(array).all():
            rows = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).sum())
            raise self.refused(
                f"{what} holds NaN or infinity in {rows} of {len(array)} rows; was it trained to its end, and does it "
                "divide by the length of an empty history?"
            )
        return array

    def _unknown(self, error: IndexError) -> ConfigError:
        if self.user_id:
            return self.refused(f"an index is outside of a table ({error}); the log has {self.n_items} items")
        return self.refused(
            f"an index is outside of a table ({error}); users are told as -1 unless it is wrapped with user_id=True"
        )

    def _checked(self, what: str, found: Any, shape: tuple[int | None, ...]) -> Any:
        torch = sys.modules.get("torch")
        tensor = torch is not None and isinstance(found, torch.Tensor)
        if self.is_module and not tensor:
            raise self.refused(f"{what} gives a {type(found).__name__}; a torch module has to give tensors")
        if not self.is_module and not tensor:
            found = np.asarray(found)
        wanted = tuple("d" if size is None else size for size in shape)
        given = tuple(found.shape)
        if len(given) != len(shape) or any(want not in (None, size) for size, want in zip(given, shape, strict=True)):
            spelled = f"({', '.join(map(str, wanted))}{',' if len(wanted) == 1 else ''})"
            raise self.refused(f"{what} gives the shape {given}; it has to be {spelled}")
        if not (found.is_floating_point() if tensor else found.dtype.kind == "f"):
            raise self.refused(f"{what} gives {found.dtype}; give floating point numbers")
        if self.is_module and found.device.type != self.device.type:
            raise self.refused(
                f"{what} is on {found.device}, the parameters on {self.device}; make tensors on histories.items.device"
            )
        return found
