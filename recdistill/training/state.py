"""What changes while a model is trained, as named tensors and plain values, and back in place; nothing is pickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

SEPARATOR = "/"


class MismatchError(ValueError):
    """A state that was taken of something else."""


@runtime_checkable
class Resumable(Protocol):
    """Something that knows itself what of it changes."""

    def state(self) -> Mapping[str, Any]:
        """Plain values that JSON can hold, and tensors."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse, in place."""


@dataclass(slots=True)
class State:
    """A state by path, `part/name`."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    """What JSON can hold; integers of any size."""


def state_of(part: Any, path: str = "") -> State:
    """Of a module, an optimiser, a generator of numpy or torch, a tensor, something `Resumable`, a mapping of these.

    Tensors are those that the part works on, not copies. Raises TypeError for anything else.
    """
    state = State()
    for name, value in _leaves(_taken(part), path):
        if isinstance(value, Tensor):
            state.tensors[name] = value.detach()
        else:
            state.values[name] = value
    return state


def restore(part: Any, state: State, path: str = "") -> None:
    """Bring the part to where `state_of` took it, in place. Raises MismatchError where it is of something else."""
    _put(part, _tree({**state.values, **state.tensors}), path)


def _taken(part: Any) -> Any:
    if part is None:
        return {}
    if isinstance(part, nn.Module):
        return dict(part.state_dict())
    if isinstance(part, torch.optim.Optimizer):
        return {str(place): dict(one) for place, one in part.state_dict()["state"].items()}
    if isinstance(part, np.random.Generator):
        return part.bit_generator.state
    if isinstance(part, torch.Generator):
        return part.get_state()
    if isinstance(part, Tensor):
        return part
    if isinstance(part, Mapping):
        return {str(name): _taken(one) for name, one in part.items()}
    if isinstance(part, Resumable):
        return part.state()
    raise TypeError(f"nothing is known of the state of a {type(part).__name__}; give it state() and restore()")


def _leaves(taken: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(taken, Mapping):
        for name, one in taken.items():
            yield from _leaves(one, f"{path}{SEPARATOR}{name}" if path else str(name))
    else:
        yield path, taken


def _tree(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, last = path.split(SEPARATOR)
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return tree


def _put(part: Any, found: Any, path: str) -> None:
    if part is None:
        return
    if isinstance(part, Tensor):
        _copy(part, found, path)
    elif isinstance(part, nn.Module):
        _put_all(dict(part.state_dict()), found, path)
    elif isinstance(part, torch.optim.Optimizer):
        moments = {int(place): _own(one) for place, one in dict(found or {}).items()}
        part.load_state_dict({"state": moments, "param_groups": part.state_dict()["param_groups"]})
    elif isinstance(part, np.random.Generator):
        part.bit_generator.state = found
    elif isinstance(part, torch.Generator):
        part.set_state(found)
    elif isinstance(part, Mapping):
        _put_all(part, found, path)
    elif isinstance(part, Resumable):
        part.restore(found)
    else:
        raise TypeError(f"nothing is known of the state of a {type(part).__name__}; give it state() and restore()")


def _own(moments: Mapping[str, Any]) -> dict[str, Any]:
    """Copies: an optimiser works on the tensors that it is given."""
    return {name: one.clone() if isinstance(one, Tensor) else one for name, one in moments.items()}


def _put_all(parts: Mapping[str, Any], found: Any, path: str) -> None:
    found = {} if found is None else found
    for name, one in parts.items():
        here = f"{path}{SEPARATOR}{name}" if path else str(name)
        _put(one, _at(found, str(name)), here)


def _at(found: Any, name: str) -> Any:
    """A name may hold the separator itself."""
    for part in name.split(SEPARATOR):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


@torch.no_grad()
def _copy(target: Tensor, found: Any, path: str) -> None:
    if not isinstance(found, Tensor) or found.shape != target.shape or found.dtype != target.dtype:
        described = f"{tuple(found.shape)} {found.dtype}" if isinstance(found, Tensor) else type(found).__name__
        raise MismatchError(f"{path}: {described} for {tuple(target.shape)} {target.dtype}")
    target.copy_(found)
