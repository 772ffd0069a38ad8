"""Build the encoder's graph: BLIP's vision transformer, and the keys and values for each decoder layer.

pixels (1, 3, side, side) → for every decoder layer `cross_key_i` and `cross_value_i` (heads, positions, head size).
"""

from dataclasses import dataclass

import numpy as np

from models.blip import Checkpoint, Vision
from models.graph import FUSED, Graph
from models.products import Exact, Forms, Products
from models.weights import Floats


def encoder_graph(checkpoint: Checkpoint, forms: Forms | None = None) -> Graph:
    """Build it from the weights of `checkpoint`. `forms`: how products are stored; default: all in fp32."""
    return _Encoder.create(checkpoint, forms or Exact()).build()


def product_inputs(checkpoint: Checkpoint) -> dict[str, str]:
    """The value that each product of the fp32 graph multiplies, by the product's name."""
    encoder = _Encoder.create(checkpoint, Exact())
    encoder.build()
    return encoder.products.inputs


ALIAS_BYTES = 4096
"""Rows at a multiple of this distance compete for the same few lines of a CPU's L1 cache."""


@dataclass(frozen=True)
class _Encoder:
    graph: Graph
    products: Products
    forms: Forms
    checkpoint: Checkpoint

    @classmethod
    def create(cls, checkpoint: Checkpoint, forms: Forms) -> "_Encoder":
        graph = Graph("encoder")
        return cls(graph, Products(graph, forms), forms, checkpoint)

    @property
    def config(self) -> Vision:
        return self.checkpoint.vision

    def build(self) -> Graph:
        stream = self._patches()
        for layer in range(self.config.num_hidden_layers):
            name = f"encoder.layers.{layer}"
            stream = self.graph.op("Add", stream, self._attention(name, stream))
            stream = self.graph.op("Add", stream, self._mlp(name, stream))
        self._cross_attentions(stream)
        return self.graph

    def _patches(self) -> str:
        """(1, positions, width): the class vector, then the patches times a matrix, plus position and bias."""
        graph, count = self.graph, self.config.patches
        side, width = self.config.patch_size, self.config.hidden_size
        pixels = graph.input("pixels", [1, 3, count * side, count * side])
        grid = graph.reshape(pixels, 3, count, side, count, side)
        patches = graph.reshape(graph.op("Transpose", grid, perm=[1, 3, 0, 2, 4]), 1, count**2, 3 * side**2)
        matrix = self._weight("embeddings.patch_embedding.weight").reshape(width, -1).T
        position = self._weight("embeddings.position_embedding")
        added = position[:, 1:] + self._weight("embeddings.patch_embedding.bias")
        first = self._weight("embeddings.class_embedding") + position[:, :1]
        embedded = graph.op("MatMul", patches, graph.weight("patch_embedding", matrix))
        embedded = graph.op("Add", embedded, graph.weight("position_embedding", added))
        return graph.op("Concat", graph.weight("class_embedding", first), embedded, axis=1)

    def _attention(self, layer: str, stream: str) -> str:
        name = f"{layer}.self_attn"
        parts = np.split(self._weight(f"{name}.qkv.weight").T, 3, axis=1)
        named = {f"{name}.{part}": parts[i] for i, part in enumerate(("query", "key", "value"))}
        value, matrices = self._norm(f"{layer}.layer_norm1", stream, named)
        queries, keys, values = (self.products.multiply(value, *item) for item in matrices.items())
        bias = self._constant(f"{name}.qkv.bias")
        heads = self.config.num_attention_heads
        attended = self.graph.op("MultiHeadAttention", queries, keys, values, bias, domain=FUSED, num_heads=heads)
        return self._linear(f"{name}.projection", attended, self._weight(f"{name}.projection.weight").T)

    def _mlp(self, layer: str, stream: str) -> str:
        name = f"{layer}.mlp"
        widen = (0, _spare_columns(self.config.intermediate_size))
        into = np.pad(self._weight(f"{name}.fc1.weight").T, ((0, 0), widen))
        bias = np.pad(self._weight(f"{name}.fc1.bias"), widen)
        out = np.pad(self._weight(f"{name}.fc2.weight").T, (widen, (0, 0)))
        value, matrices = self._norm(f"{layer}.layer_norm2", stream, {f"{name}.fc1.weight": into})
        (inner,) = (self.products.multiply(value, *item) for item in matrices.items())
        inner = self.graph.op("BiasGelu", inner, self.graph.weight(f"{name}.fc1.bias", bias), domain=FUSED)
        return self._linear(f"{name}.fc2", inner, out)

    def _cross_attentions(self, stream: str) -> None:
        """The keys and values for each layer of the decoder."""
        layers = range(self.checkpoint.text.num_hidden_layers)
        names = {
            f"{part}_{layer}": f"text_decoder.bert.encoder.layer.{layer}.crossattention.self.{part}"
            for layer in layers
            for part in ("key", "value")
        }
        matrices = {short: self.checkpoint.weight(f"{name}.weight").T for short, name in names.items()}
        image, matrices = self._norm("post_layernorm", stream, matrices)
        for short, matrix in matrices.items():
            self._cross(short, image, matrix, self.checkpoint.weight(f"{names[short]}.bias"))

    def _cross(self, name: str, image: str, matrix: Floats, bias: Floats) -> None:
        graph, heads, size = self.graph, self.checkpoint.text.num_attention_heads, self.checkpoint.text.head_size
        if self.products.form(image, name, matrix) == "fp32":
            # One product per head, so that heads are the first dimension without a transposition.
            panels = matrix.reshape(-1, heads, size).transpose(1, 0, 2)
            product = graph.op("MatMul", image, graph.weight(name, panels))
            value = graph.op("Add", product, graph.weight(f"{name}.bias", bias.reshape(heads, 1, size)))
        else:
            product = self.products.multiply(image, name, matrix, (f"{name}.bias", bias))
            value = graph.op("Transpose", graph.reshape(product, -1, heads, size), perm=[1, 0, 2])
        graph.output(f"cross_{name}", [heads, self.config.positions, size], value)

    def _linear(self, name: str, value: str, matrix: Floats) -> str:
        bias = f"{name}.bias", self._weight(f"{name}.bias")
        return self.products.multiply(value, f"{name}.weight", matrix, bias)

    def _norm(self, name: str, value: str, readers: dict[str, Floats]) -> tuple[str, dict[str, Floats]]:
        """Normalize a value that only the products with `readers` read, and return it with their matrices."""
        # With two additions before it, this is about three times as fast as ONNX Runtime's SkipLayerNormalization.
        scale, bias = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        powers = self.forms.balance(readers)
        if powers is not None:
            scale, bias = scale / powers, bias / powers
            readers = {reader: matrix * powers[:, np.newaxis] for reader, matrix in readers.items()}
        weights = self.graph.weight(f"{name}.weight", scale), self.graph.weight(f"{name}.bias", bias)
        epsilon = self.config.layer_norm_eps
        return self.graph.op("LayerNormalization", value, *weights, axis=-1, epsilon=epsilon), readers

    def _constant(self, name: str) -> str:
        return self.graph.weight(name, self._weight(name))

    def _weight(self, name: str) -> Floats:
        return self.checkpoint.weight(f"vision_model.{name}")


def _spare_columns(width: int) -> int:
    """Number of zero columns that keep rows of `width` floats from competing: BLIP-base's 3,072 become 3,104.

    The product that reads these rows is a tenth faster. GELU leaves zeros unchanged.
    """
    return 0 if width * 4 % ALIAS_BYTES else 32
