"""Build the encoder's graph: BLIP's vision transformer, and the keys and values for each decoder layer.

pixels (1, 3, side, side) → for every decoder layer `cross_key_i` and `cross_value_i` (heads, positions, head size).
"""

from dataclasses import dataclass

import numpy as np

from models.blip import Checkpoint, Vision
from models.graph import FUSED, Graph
from models.products import FormOf, Products, always_fp32
from models.weights import Floats


def encoder_graph(checkpoint: Checkpoint, form_of: FormOf = always_fp32) -> Graph:
    """Build it from the weights of `checkpoint`. `form_of` chooses the form of each product with weights."""
    return encoder_with_products(checkpoint, form_of)[0]


def encoder_with_products(checkpoint: Checkpoint, form_of: FormOf = always_fp32) -> tuple[Graph, Products]:
    """The same, and the products in it."""
    graph = Graph("encoder")
    products = Products(graph, form_of)
    return _Encoder(graph, products, checkpoint).build(), products


ALIAS_BYTES = 4096
"""Rows at a multiple of this distance compete for the same few lines of a CPU's L1 cache."""


@dataclass(frozen=True)
class _Encoder:
    graph: Graph
    products: Products
    checkpoint: Checkpoint

    @property
    def config(self) -> Vision:
        return self.checkpoint.vision

    def build(self) -> Graph:
        stream = self._patches()
        for layer in range(self.config.num_hidden_layers):
            name = f"encoder.layers.{layer}"
            change = self._attention(f"{name}.self_attn", self._norm(f"{name}.layer_norm1", stream))
            stream = self.graph.op("Add", stream, change)
            change = self._mlp(f"{name}.mlp", self._norm(f"{name}.layer_norm2", stream))
            stream = self.graph.op("Add", stream, change)
        image = self._norm("post_layernorm", stream)
        for layer in range(self.checkpoint.text.num_hidden_layers):
            self._cross_attention(layer, image)
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

    def _attention(self, name: str, value: str) -> str:
        parts = np.split(self._weight(f"{name}.qkv.weight").T, 3, axis=1)
        queries, keys, values = (
            self.products.multiply(value, f"{name}.{part}", matrix)
            for part, matrix in zip(("query", "key", "value"), parts, strict=True)
        )
        bias = self._constant(f"{name}.qkv.bias")
        heads = self.config.num_attention_heads
        attended = self.graph.op("MultiHeadAttention", queries, keys, values, bias, domain=FUSED, num_heads=heads)
        name = f"{name}.projection"
        bias_of = f"{name}.bias", self._weight(f"{name}.bias")
        return self.products.multiply(attended, f"{name}.weight", self._weight(f"{name}.weight").T, bias_of)

    def _mlp(self, name: str, value: str) -> str:
        graph = self.graph
        widen = (0, _spare_columns(self.config.intermediate_size))
        into = np.pad(self._weight(f"{name}.fc1.weight").T, ((0, 0), widen))
        bias = np.pad(self._weight(f"{name}.fc1.bias"), widen)
        out = np.pad(self._weight(f"{name}.fc2.weight").T, (widen, (0, 0)))
        inner = self.products.multiply(value, f"{name}.fc1.weight", into)
        inner = graph.op("BiasGelu", inner, graph.weight(f"{name}.fc1.bias", bias), domain=FUSED)
        bias_of = f"{name}.fc2.bias", self._weight(f"{name}.fc2.bias")
        return self.products.multiply(inner, f"{name}.fc2.weight", out, bias_of)

    def _cross_attention(self, layer: int, image: str) -> None:
        text, graph = self.checkpoint.text, self.graph
        heads, size = text.num_attention_heads, text.head_size
        for part in ("key", "value"):
            name = f"text_decoder.bert.encoder.layer.{layer}.crossattention.self.{part}"
            matrix, bias = self.checkpoint.weight(f"{name}.weight").T, self.checkpoint.weight(f"{name}.bias")
            bias_of = f"{part}_{layer}.bias"
            if self.products.form(image, f"{part}_{layer}", matrix) == "fp32":
                # One product per head, so that heads are the first dimension without a transposition.
                panels = matrix.reshape(-1, heads, size).transpose(1, 0, 2)
                product = graph.op("MatMul", image, graph.weight(f"{part}_{layer}", panels))
                value = graph.op("Add", product, graph.weight(bias_of, bias.reshape(heads, 1, size)))
            else:
                product = self.products.multiply(image, f"{part}_{layer}", matrix, (bias_of, bias))
                value = graph.op("Transpose", graph.reshape(product, -1, heads, size), perm=[1, 0, 2])
            graph.output(f"cross_{part}_{layer}", [heads, self.config.positions, size], value)

    def _norm(self, name: str, value: str) -> str:
        # With two additions before it, this is about three times as fast as ONNX Runtime's SkipLayerNormalization.
        scale, bias = self._constant(f"{name}.weight"), self._constant(f"{name}.bias")
        epsilon = self.config.layer_norm_eps
        return self.graph.op("LayerNormalization", value, scale, bias, axis=-1, epsilon=epsilon)

    def _constant(self, name: str) -> str:
        return self.graph.weight(name, self._weight(name))

    def _weight(self, name: str) -> Floats:
        return self.checkpoint.weight(f"vision_model.{name}")


def _spare_columns(width: int) -> int:
    """Number of zero columns that keep rows of `width` floats from competing: BLIP-base's 3,072 become 3,104.

    The product that reads these rows is a tenth faster. GELU leaves zeros unchanged.
    """
    return 0 if width * 4 % ALIAS_BYTES else 32
