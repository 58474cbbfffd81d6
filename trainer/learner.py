"""The optimisation: one step on a batch, and the state that it changes.

Adam (Kingma and Ba, 2015) or Nesterov's momentum (Sutskever et al., 2013), with decoupled weight
decay (Loshchilov and Hutter, 2019), clipping by the global norm (Pascanu et al., 2013), a moving
average of the weights, and a dynamic loss scale for float16. All in plain operations, so that the
whole state is a handful of named arrays, which a checkpoint stores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from inkmill.models.cascade import PREFIX, cascade_shapes, divided
from inkmill.models.network import Network
from inkmill.trainer.config import Config
from inkmill.trainer.losses import losses
from inkmill.trainer.settings.tables import Training

Arrays = dict[str, NDArray[Any]]

_BETA1, _BETA2 = 0.9, 0.999
#: Steps without overflow after which float16's loss scale is doubled, as Keras does.
_PATIENCE = 2000


def initial_weights(config: Config) -> dict[str, NDArray[np.float32]]:
    """Initial weights.

    "tutorial": truncated normal with deviation 0.1; biases of convolutions 0, of dense layers 0.1.
    "he": truncated normal with deviation sqrt(2 / inputs), biases 0.
    """
    network, classes = config.network, len(config.classes)
    shapes = cascade_shapes(network.layers, network.first_stage, network.input_size, classes)
    rng = np.random.default_rng([config.training.seed, 3])
    tutorial = config.training.initialiser == "tutorial"
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("bias"):
            level = 0.1 if tutorial and not name.removeprefix(PREFIX).startswith("conv") else 0.0
            weights[name] = np.full(shape, level, np.float32)
        else:
            deviation = 0.1 if tutorial else math.sqrt(2.0 / math.prod(shape[:-1]))
            weights[name] = (_truncated(rng, shape) * deviation).astype(np.float32)
    return weights


def _truncated(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Normal values, drawn again if they are beyond two standard deviations."""
    values = rng.standard_normal(shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.standard_normal(int(far.sum()))
    return values


def learning_rate(training: Training, step: int) -> float:
    """The learning rate of a step, counted from 0; that of a plateau before any is found."""
    if step < training.warmup:
        return training.learning_rate * (step + 1) / training.warmup
    if training.schedule in ("constant", "plateau"):
        return training.learning_rate
    if training.schedule == "step":
        return training.learning_rate * training.decay ** (step // training.decay_every)
    done = (step - training.warmup) / max(1, training.steps - training.warmup)
    return training.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Learner:
    """The network in training, with its optimiser's state.

    The layers compute in ``precision``; variables are always float32. ``arrays`` is a checkpoint to
    continue from, ``weights`` those of a model to begin with, ``class_weights`` float32 (classes,)
    how much the loss of each class counts.
    """

    def __init__(
        self,
        config: Config,
        strategy: Any,
        precision: str,
        arrays: Mapping[str, Any] | None = None,
        *,
        weights: Mapping[str, NDArray[np.float32]] | None = None,
        class_weights: NDArray[np.float32] | None = None,
    ) -> None:
        self.config = config
        self._class_weights = class_weights
        self.precision = precision
        self.strategy = strategy
        weights = weights or initial_weights(config)
        network, first_stage = divided(weights)
        with strategy.scope():
            self.network = Network(
                config.network.layers, network, dtype=precision, stored="float32"
            )
            self._first_stage = Network(
                config.network.first_stage, first_stage, dtype=precision, stored="float32"
            )
            self._slots = {
                name: [tf.Variable(tf.zeros(value.shape)) for _ in range(2)]
                for name, value in weights.items()
            }
            self._averages = (
                {name: tf.Variable(value) for name, value in weights.items()}
                if config.training.averaging
                else {}
            )
            scale = 2.0**15 if precision == "float16" else 1.0
            self._scale = tf.Variable(scale, dtype=tf.float32)
            self._good = tf.Variable(0, dtype=tf.int32)
        first = self._first_stage.variables.items()
        self._variables = {
            **self.network.variables,
            **{f"{PREFIX}{name}": variable for name, variable in first},
        }
        if arrays is not None:
            self.restore(arrays)
        # Strips have many widths: those must not trace the step again.
        self._run = tf.function(self._step, autograph=False, reduce_retracing=True)
        self._read = tf.function(self._reading, autograph=False, reduce_retracing=True)

    def step(self, crops: Any, labels: Any, number: int, factor: float = 1.0) -> tuple[Any, Any]:
        """One step on a batch; returns its mean loss and the number of right readings.

        ``factor`` is that of the learning rate, for a plateau.
        """
        rate = learning_rate(self.config.training, number) * factor
        return self._run(  # type: ignore[no-any-return]
            crops, labels, tf.constant(number, tf.int32), tf.constant(rate, tf.float32)
        )

    def read(self, crops: Any, labels: Any) -> tuple[Any, Any]:
        """The mean loss and the number of right readings of a batch, without dropout."""
        return self._read(crops, labels)  # type: ignore[no-any-return]

    def _reading(self, crops: Any, labels: Any) -> tuple[Any, Any]:
        def replica(crops: Any, labels: Any) -> tuple[Any, Any]:
            each, right = losses(
                self.config, self.network.logits(crops), labels, self._class_weights
            )
            total = tf.reduce_sum(each) / self.config.training.batch
            return total, tf.reduce_sum(tf.cast(right, tf.int32))

        loss, right = self.strategy.run(replica, (crops, labels))
        total = tf.distribute.ReduceOp.SUM
        return (
            self.strategy.reduce(total, loss, axis=None),
            self.strategy.reduce(total, right, axis=None),
        )

    def _step(self, crops: Any, labels: Any, number: Any, rate: Any) -> tuple[Any, Any]:
        losses, rights, gradients = self.strategy.run(self._gradients, (crops, labels, number))
        total = tf.distribute.ReduceOp.SUM
        summed = [self.strategy.reduce(total, each, axis=None) for each in gradients]
        finite = None
        if self.precision == "float16":
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(each)) for each in summed])
            summed = [each / self._scale for each in summed]
            self._rescale(finite)
        if self.config.training.clip:
            summed, _ = tf.clip_by_global_norm(summed, self.config.training.clip)
        moment = tf.cast(number, tf.float32) + 1.0
        for (name, variable), gradient in zip(self._variables.items(), summed, strict=True):
            self._update(name, variable, gradient, rate, moment, finite)
        return (
            self.strategy.reduce(total, losses, axis=None),
            self.strategy.reduce(total, rights, axis=None),
        )

    def _gradients(self, crops: Any, labels: Any, number: Any) -> tuple[Any, Any, list[Any]]:
        """One replica's part: its part of the mean loss, and its gradients."""
        training = self.config.training
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = tf.stack([training.seed, number * 64 + tf.cast(replica, tf.int32)])
        variables = list(self._variables.values())
        with tf.GradientTape() as tape:
            logits = self.network.logits(crops, keep=training.keep, seed=seed)
            each, right = losses(self.config, logits, labels, self._class_weights)
            loss = tf.reduce_sum(each) / training.batch
            first = self._first_loss(crops, labels, seed)
            scaled = (loss + first) * self._scale
        # What is reported is the network's, but no number where either is none.
        loss += 0.0 * first
        return loss, tf.reduce_sum(tf.cast(right, tf.int32)), tape.gradient(scaled, variables)

    def _first_loss(self, crops: Any, labels: Any, seed: Any) -> Any:
        """The first stage's part of a batch's loss; 0 where there is no such stage.

        It is only added, since the two share no weights.
        """
        if not self._first_stage.variables:
            return 0.0
        training = self.config.training
        logits = self._first_stage.logits(crops, keep=training.keep, seed=seed)
        each, _ = losses(self.config, logits, labels, self._class_weights)
        return tf.reduce_sum(each) / training.batch

    def _update(
        self, name: str, variable: Any, gradient: Any, rate: Any, moment: Any, finite: Any
    ) -> None:
        """Change a variable and its slots; not at all where ``finite`` is given and false."""
        training = self.config.training
        decay = training.weight_decay if name.endswith("kernel") else 0.0
        keep = tf.minimum(training.averaging, moment / (moment + 9.0))

        def change(variable: Any, gradient: Any, first: Any, second: Any, average: Any) -> None:
            if decay:
                variable.assign(variable * (1.0 - rate * decay))
            if training.optimiser == "sgd":
                tf.raw_ops.ResourceApplyKerasMomentum(
                    var=variable.handle,
                    accum=first.handle,
                    lr=rate,
                    grad=gradient,
                    momentum=training.momentum,
                    use_nesterov=True,
                )
            else:
                self._adam(variable, gradient, (first, second), rate, moment)
            if average is not None:
                average.assign(keep * average + (1 - keep) * variable)

        def change_if_finite(*values: Any) -> None:
            def changed() -> Any:
                change(*values)
                return tf.constant(True)

            tf.cond(finite, changed, lambda: tf.constant(False))

        arguments = (gradient, *self._slots[name], self._averages.get(name))
        how = change if finite is None else change_if_finite
        self.strategy.extended.update(variable, how, args=arguments)

    def _adam(
        self, variable: Any, gradient: Any, slots: tuple[Any, Any], rate: Any, moment: Any
    ) -> None:
        # One fused pass over all arrays; written out, Adam took some 40 ms of a core per step.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=slots[0].handle,
            v=slots[1].handle,
            beta1_power=_BETA1**moment,
            beta2_power=_BETA2**moment,
            lr=rate,
            beta1=_BETA1,
            beta2=_BETA2,
            epsilon=self.config.training.epsilon,
            grad=gradient,
        )

    def _rescale(self, finite: Any) -> None:
        """Halve the loss scale after an overflow, double it after many good steps."""
        good = tf.where(finite, self._good + 1, 0)
        grown = tf.where(good >= _PATIENCE, self._scale * 2.0, self._scale)
        self._scale.assign(tf.where(finite, grown, tf.maximum(self._scale / 2.0, 1.0)))
        self._good.assign(tf.where(good >= _PATIENCE, 0, good))

    def arrays(self) -> Arrays:
        """The whole state by name: the content of a checkpoint besides the step."""
        result: Arrays = {"scale": self._scale.numpy(), "good": self._good.numpy()}
        for name, variable in self._variables.items():
            result[f"weights/{name}"] = variable.numpy()
            result[f"first/{name}"] = self._slots[name][0].numpy()
            result[f"second/{name}"] = self._slots[name][1].numpy()
        for name, variable in self._averages.items():
            result[f"average/{name}"] = variable.numpy()
        return result

    def restore(self, arrays: Mapping[str, Any]) -> None:
        """Restore a checkpoint's state, which may have been saved in another precision."""
        # Other precisions leave it at 1: only float16 divides its gradients by a scale.
        if self.precision == "float16" and arrays["scale"] != 1.0:
            self._scale.assign(np.reshape(arrays["scale"], ()))
            self._good.assign(np.reshape(arrays["good"], ()))
        for name, variable in self._variables.items():
            variable.assign(arrays[f"weights/{name}"])
            self._slots[name][0].assign(arrays[f"first/{name}"])
            self._slots[name][1].assign(arrays[f"second/{name}"])
        for name, variable in self._averages.items():
            variable.assign(arrays[f"average/{name}"])

    def weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights to use: their moving average if there is one."""
        source = self._averages or self._variables
        return {name: variable.numpy() for name, variable in source.items()}
