"""JAX: one program for an epoch of several models, by `vmap` over models, `scan` over batches.

It is compiled in three parts, since what is carried out once an epoch need not be optimised as much
as the steps: a small model takes longer to compile than to train.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pipeline.worker.backends.together.members import Examples, Pattern, flat
from pipeline.worker.backends.together.number import Number

# A level of XLA's optimisation below its own. Not for the loop over full batches, whose steps would
# take a sixth longer.
LESS = {"xla_backend_optimization_level": "1"}


@dataclass(frozen=True)
class Form:
    """How the examples of several models come in batches, as far as a program depends on it."""

    batch: int  # examples a batch
    full: int  # full batches at most
    rests: tuple[int, ...]  # examples that last batches have, 0 for none
    even: bool  # whether all have the same number of full batches

    @classmethod
    def of(cls, examples: Sequence[Examples]) -> "Form":
        """That of these."""
        return cls(
            examples[0].batch,
            max(each.full for each in examples),
            tuple(sorted({each.rest for each in examples})),
            len({each.full for each in examples}) == 1,
        )

    def covers(self, other: "Form") -> bool:
        """Whether what is made for this form does for another."""
        return (
            self.batch == other.batch
            and other.full <= self.full
            and set(other.rests) <= set(self.rests)
            and (not self.even or (other.even and other.full == self.full))
        )


@dataclass(frozen=True)
class Given:
    """The examples of k models as they are put through it.

    Args:
        parts: arrays (k, n, …) on the device; (1, n, …) where all share them.
        orders: (k, n) integers, in which order each has them.
        full: (k,) how many full batches each has.
        rests: (k,) how many examples its last batch has, 0 for none.
        shared: whether all share the arrays.
    """

    parts: tuple[Any, ...]
    orders: Any
    full: Any
    rests: Any
    shared: bool


@dataclass(frozen=True)
class Steps:
    """The steps of one model, as functions of its state and its numbers."""

    pattern: Pattern

    def train(self, state: Any, numbers: Any, batch: Any) -> Any:
        """The state after a training step."""
        with self.pattern.with_numbers(numbers, Number):
            return self.pattern.model.train_step(state, batch)[1]

    def test(self, state: Any, numbers: Any, batch: Any) -> Any:
        """The state after a batch of validation."""
        weights, others, optimizer, metrics = state
        with self.pattern.with_numbers(numbers, Number):
            _, found = self.pattern.model.test_step((weights, others, metrics), batch)
        return (found[0], found[1], optimizer, found[2])

    def reset(self, state: Any) -> Any:
        """The state with its metrics as at the beginning of an epoch."""
        variables = self.pattern.model.metrics_variables
        with keras.StatelessScope(list(zip(variables, state[3], strict=True))) as scope:
            self.pattern.model.reset_metrics()
        found = [scope.get_current_value(variable) for variable in variables]
        kept = zip(found, state[3], strict=True)
        return (*state[:3], [old if new is None else new for new, old in kept])

    def scores(self, state: Any) -> dict[str, Any]:
        """What the metrics are."""
        variables = self.pattern.model.metrics_variables
        with keras.StatelessScope(list(zip(variables, state[3], strict=True))):
            return flat(self.pattern.model.get_metrics_result())


class Compiled:
    """Carries out an epoch of k models.

    Args:
        steps: of one model.
        train: how training examples come in batches.
        validation: how those of validation do; None where there is none.
        hasty: whether what is carried out once an epoch is optimised less.
    """

    def __init__(self, steps: Steps, train: Form, validation: Form | None, *, hasty: bool) -> None:
        import jax

        def train_full(state: Any, numbers: Any, given: Any) -> Any:
            return _full(lambda s, b: steps.train(s, numbers, b), steps.reset(state), train, given)

        def train_rest(state: Any, numbers: Any, given: Any) -> Any:
            return _rest(lambda s, b: steps.train(s, numbers, b), state, train, given)

        def validate(state: Any, numbers: Any, given: Any) -> Any:
            logs = steps.scores(state)
            if validation is None:
                return state, logs, {}

            def step(state: Any, batch: Any) -> Any:
                return steps.test(state, numbers, batch)

            state = _full(step, steps.reset(state), validation, given)
            state = _rest(step, state, validation, given)
            return state, logs, steps.scores(state)

        options = LESS if hasty else {}
        self._train_full = _over_models(train_full, {})
        self._train_rest = _over_models(train_rest, options) if any(train.rests) else None
        self._validate = _over_models(validate, options)
        self._pick = jax.jit(lambda state, place: jax.tree.map(lambda each: each[place], state))
        # what was handed out last, and as it was together
        self._handed_out: list[list[Any]] = []
        self._together: list[Any] = []

    def __call__(
        self, states: Sequence[Any], numbers: Any, train: Given, validation: Given | None
    ) -> tuple[list[Any], Any, Any]:
        """Each model's state, and the metrics of training and of validation, (k,) or (k, …)."""
        import jax

        given = [jax.tree.leaves(state) for state in states]
        structure = jax.tree.structure(states[0])
        leaves = [
            self._stacked(place, [each[place] for each in given]) for place in range(len(given[0]))
        ]
        state = jax.tree.unflatten(structure, leaves)
        state = self._train_full(state, numbers, train)
        if self._train_rest is not None:
            state = self._train_rest(state, numbers, train)
        state, *logs = self._validate(state, numbers, validation)
        self._together = jax.tree.leaves(state)
        found = [self._pick(state, place) for place in range(len(states))]
        self._handed_out = [jax.tree.leaves(each) for each in found]
        return found, *jax.tree.map(np.asarray, logs)

    def _stacked(self, place: int, values: list[Any]) -> Any:
        """One variable's values of all models; as they are, where nobody gave any another."""
        before = [each[place] for each in self._handed_out]
        if len(before) == len(values) and all(a is b for a, b in zip(before, values, strict=True)):
            return self._together[place]
        return np.stack([np.asarray(value) for value in values])


def _full(step: Callable[..., Any], state: Any, form: Form, given: Any) -> Any:
    """The state after all full batches."""
    import jax

    parts, order, full, _ = given

    def one(state: Any, number: Any) -> Any:
        new = step(state, _batch(parts, order, number * form.batch, form.batch))
        return new if form.even else _chosen(number < full, new, state), None

    if not form.full:
        return state
    return jax.lax.scan(one, state, jax.numpy.arange(form.full))[0]


def _rest(step: Callable[..., Any], state: Any, form: Form, given: Any) -> Any:
    """The state after the last batch, where that is not full."""
    parts, order, full, rest = given
    for size in filter(None, form.rests):
        new = step(state, _batch(parts, order, full * form.batch, size))
        state = new if len(form.rests) == 1 else _chosen(rest == size, new, state)
    return state


def _batch(parts: Any, order: Any, start: Any, size: int) -> tuple[Any, ...]:
    import jax

    at = jax.lax.dynamic_slice(order, (start,), (size,))
    return tuple(part[at] for part in parts)


def _chosen(chosen: Any, new: Any, old: Any) -> Any:
    import jax

    return jax.tree.map(lambda n, o: jax.numpy.where(chosen, n, o), new, old)


def _over_models(function: Callable[..., Any], options: dict[str, str]) -> Callable[..., Any]:
    """A compiled function of k states, numbers and examples, from one of a single model's."""
    import jax

    def of_all(state: Any, numbers: Any, given: Any, shared: bool) -> Any:
        if given is None:
            return jax.vmap(lambda s, n: function(s, n, None))(state, numbers)
        parts, *rows = given
        # arrays that all have in common are held once
        parts = tuple(part[0] for part in parts) if shared else parts
        axes = (None if shared else 0, *[0] * len(rows))
        return jax.vmap(function, (0, 0, axes))(state, numbers, (parts, *rows))

    compiled = jax.jit(of_all, static_argnums=3, compiler_options=options)

    def call(state: Any, numbers: Any, given: Given | None) -> Any:
        if given is None:
            return compiled(state, numbers, None, False)
        return compiled(
            state, numbers, (given.parts, given.orders, given.full, given.rests), given.shared
        )

    return call
