"""JAX: one program for an epoch of several models, by `vmap` over models, `scan` over batches."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.worker.backends.together import Form, Steps


def program(steps: Steps, train: Form, validation: Form | None) -> Callable[..., Any]:
    """A function that carries out an epoch of k models.

    Args:
        steps: of one model.
        train: how training examples come in batches.
        validation: how those of validation do; None where there is none.

    Returns:
        From states, numbers (k, …), and for training and validation arrays, orders (k, n), counts
        of full batches (k,) and of examples in the last one (k,), to the states and the metrics of
        training and validation.
    """
    import jax
    from jax import numpy as jnp

    def choose(chosen: Any, new: Any, old: Any) -> Any:
        return jax.tree.map(lambda n, o: jnp.where(chosen, n, o), new, old)

    def over(step: Any, state: Any, form: Form, given: Any) -> Any:
        """The state after all batches."""
        parts, order, full, rest = given

        def batch(start: Any, size: int) -> tuple[Any, ...]:
            at = jax.lax.dynamic_slice(order, (start,), (size,))
            return tuple(part[at] for part in parts)

        def one(state: Any, number: Any) -> Any:
            new = step(state, batch(number * form.batch, form.batch))
            return new if form.even else choose(number < full, new, state), None

        if form.full:
            state, _ = jax.lax.scan(one, state, jnp.arange(form.full))
        for size in filter(None, form.rests):
            new = step(state, batch(full * form.batch, size))
            state = new if len(form.rests) == 1 else choose(rest == size, new, state)
        return state

    def of_one(state: Any, numbers: Any, given: Any, validated: Any) -> Any:
        state = steps.reset(state)
        state = over(lambda s, b: steps.train(s, numbers, b), state, train, given)
        logs = steps.scores(state)
        if validation is None:
            return state, logs, {}
        state = steps.reset(state)
        state = over(lambda s, b: steps.test(s, numbers, b), state, validation, validated)
        return state, logs, steps.scores(state)

    def of_all(states: Any, numbers: Any, given: Any, validated: Any, shared: Any) -> Any:
        state = jax.tree.map(lambda *each: jnp.stack(each), *states)
        axes = [
            None if each is None else (None if s else 0, 0, 0, 0)
            for each, s in zip((given, validated), shared, strict=True)
        ]
        given, validated = (
            None if each is None else (tuple(p[0] if s else p for p in each[0]), *each[1:])
            for each, s in zip((given, validated), shared, strict=True)
        )
        state, *logs = jax.vmap(of_one, (0, 0, *axes))(state, numbers, given, validated)
        return [jax.tree.map(lambda r, i=i: r[i], state) for i in range(len(states))], logs

    compiled = jax.jit(of_all, static_argnums=4)

    def call(states: Any, numbers: Any, given: Any, validated: Any) -> Any:
        shared = (given[4], validated[4] if validated else False)
        result, logs = compiled(
            states, numbers, given[:4], validated[:4] if validated else None, shared
        )
        return result, *jax.tree.map(np.asarray, logs)

    return call
