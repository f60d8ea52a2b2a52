"""Explanation of examples by a trained model, with one forward pass for all attributions."""

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from numpy.typing import NDArray

from laya_jax.attribution import Explanation, explain
from laya_jax.classifier import Classifier
from laya_jax.data import Examples
from laya_jax.engine import Feed, Predictor, Reader, divisible, make_parallel
from laya_jax.heads import HeadOutput
from laya_jax.inputs import inputs_of
from laya_jax.training import SILENT, DeviceConfig, Listener, TrainedModel
from laya_jax.typing import Array, ArrayLike, HiddenStates, Parameters


class Explained(NamedTuple):
    """Logits and explanation of examples.

    Attributes:
      logits: Logits of the model's head, [N, K].
      explanation: Explanation of the same examples; None for a head without attention over layers.
    """

    logits: NDArray
    explanation: Explanation | None

    def weighed(self) -> Explanation:
        """Returns the explanation of a head with attention over layers.

        Raises:
          ValueError: The head has no attention over layers.
        """
        if self.explanation is None:
            raise ValueError("explanation is None, expected that of a head that weighs layers")
        return self.explanation


class Explainer:
    """Compiled explanations of a model; other parameters of the same shapes reuse the compilation.

    Attributes:
      model: Model from ``load_model``.
      explained: Part that is computed: the model, or only its head if the backbone is frozen.
      listener: Listener that receives progress callbacks.
    """

    def __init__(self, model: TrainedModel, parallel: DeviceConfig, listener: Listener = SILENT) -> None:
        self.listener = listener
        self.model, self._inputs = model, inputs_of(model)
        self.explained = self._inputs.trained_part(model)
        self._parallel = make_parallel(parallel)
        size = divisible(model.config.batch_size, self._parallel)
        preprocessing = self.explained.schema.preprocessing
        reader = explanation_reader(self.explained.classifier)
        self._predictor = Predictor(reader, preprocessing, self._parallel, batch_size=size)

    @property
    def weighs(self) -> bool:
        """True if the head has attention over layers."""
        return self.model.classifier.head.weighs_layers

    def convert(self, examples: Examples) -> Examples:
        """Converts examples to the form that ``explained`` reads: hidden states for a frozen backbone."""
        return self._inputs.convert(examples, self._parallel, self.listener.extracted)

    def __call__(self, examples: Examples, parameters: Parameters | None = None) -> Explained:
        """Explains examples, in order.

        Args:
          examples: Examples as stored, or from ``convert``; their labels are ignored.
          parameters: Parameters of ``explained``; None uses the model's.
        """
        parameters = self.explained.parameters if parameters is None else parameters
        placed, feed = self._parallel.replicate(parameters), Feed(self.convert(examples), self._parallel)
        logits, *read = self._predictor.outputs(placed, feed, self.listener.predicted)[0]
        if not read:
            return Explained(logits, None)
        bias = jax.device_get(parameters["head"]["classifier"]["bias"])
        scores, votes, norms = read
        return Explained(logits, Explanation(scores, votes, norms, bias))


def explanation_reader(classifier: Classifier) -> Reader:
    """Returns a reader of logits and, for a head with attention, of its explanation without the bias."""
    head = classifier.head

    def read(parameters: Parameters, inputs: Array) -> tuple[ArrayLike, ...]:
        states = classifier.apply({"params": parameters}, inputs, method="hidden_states")
        hidden_states = cast(HiddenStates, states)
        output = cast(HeadOutput, head.apply({"params": parameters["head"]}, hidden_states))
        logits = output.logits.astype(jnp.float32)
        if not head.weighs_layers:
            return (logits,)
        return (logits, *explain(head, parameters["head"], hidden_states)[:3])

    return read
