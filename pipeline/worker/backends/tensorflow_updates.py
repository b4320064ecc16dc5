"""Optimizers' updates by kernels of TensorFlow that read and write each array once.

Keras writes an update as a dozen operations, and outside XLA each is a pass over an array as large
as the weights. TensorFlow still has the kernels of its own former optimizers, with the same
formulas.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def fused(model: Any, scratch: dict[int, Any]) -> Iterator[None]:
    """Let what is traced inside update each variable by one operation, where one does the same.

    `scratch` is filled with what the graph needs of further variables, and must live as long as it
    does.
    """
    outer = model.optimizer
    optimizer = getattr(outer, "inner_optimizer", outer)  # of float16's the one within updates
    # Of Keras's own classes, AdamW has Adam's as it is; what a class or an instance of the user's
    # changes is not known.
    known = type(optimizer).__module__.startswith("keras.src.") and "update_step" not in vars(
        optimizer
    )
    own = next(
        (make for update, make in KERNELS if known and type(optimizer).update_step is update), None
    )
    kernel = own(optimizer, scratch) if own is not None else None
    if kernel is None:
        yield
        return

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        import tensorflow as tf

        target = variable.value if isinstance(variable, keras.Variable) else variable
        if isinstance(gradient, tf.IndexedSlices) or target.dtype not in (tf.float32, tf.float64):
            type(optimizer).update_step(optimizer, gradient, variable, learning_rate)
            return
        place = optimizer._get_variable_index(variable)
        kernel(target, tf.cast(gradient, target.dtype), tf.cast(learning_rate, target.dtype), place)

    optimizer.update_step = update_step
    try:
        yield
    finally:
        del optimizer.update_step


def _adam(optimizer: Any, scratch: dict[int, Any]) -> Any:
    import tensorflow as tf

    if optimizer.amsgrad:
        return None

    def kernel(target: Any, gradient: Any, rate: Any, place: int) -> None:
        step = keras.ops.cast(optimizer.iterations + 1, target.dtype.name)
        tf.raw_ops.ResourceApplyAdam(
            var=target.handle,
            m=_handle(optimizer._momentums[place]),
            v=_handle(optimizer._velocities[place]),
            beta1_power=tf.pow(tf.cast(optimizer.beta_1, target.dtype), step),
            beta2_power=tf.pow(tf.cast(optimizer.beta_2, target.dtype), step),
            lr=rate,
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    return kernel


def _sgd(optimizer: Any, scratch: dict[int, Any]) -> Any:
    import tensorflow as tf

    def kernel(target: Any, gradient: Any, rate: Any, place: int) -> None:
        if not optimizer.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=target.handle, alpha=rate, delta=gradient)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=target.handle,
            accum=_handle(optimizer.momentums[place]),
            lr=rate,
            grad=gradient,
            momentum=optimizer.momentum,
            use_nesterov=bool(optimizer.nesterov),
        )

    return kernel


def _rmsprop(optimizer: Any, scratch: dict[int, Any]) -> Any:
    import tensorflow as tf

    if optimizer.centered:
        return None

    def kernel(target: Any, gradient: Any, rate: Any, place: int) -> None:
        if optimizer.momentum:
            momentum = optimizer._momentums[place].value
        else:  # the kernel wants one
            if place not in scratch:
                with tf.init_scope():
                    scratch[place] = tf.Variable(
                        tf.zeros(target.shape, target.dtype), trainable=False
                    )
            momentum = scratch[place]
        tf.raw_ops.ResourceApplyRMSProp(
            var=target.handle,
            ms=_handle(optimizer._velocities[place]),
            mom=momentum.handle,
            lr=rate,
            rho=optimizer.rho,
            momentum=optimizer.momentum,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    return kernel


def _handle(variable: Any) -> Any:
    return variable.value.handle


# Keras's `update_step`, and what does the same.
KERNELS: tuple[tuple[Any, Callable[[Any, dict[int, Any]], Any]], ...] = (
    (keras.optimizers.Adam.update_step, _adam),
    (keras.optimizers.SGD.update_step, _sgd),
    (keras.optimizers.RMSprop.update_step, _rmsprop),
)
