"""Build the decoder's graph. It processes the whole prompt first, then one token at a time.

token ids (rows) and the caches → `logits` of the last row. `cache_key_i` and `cache_value_i` (1, heads, length,
head size) are returned as `present_key_i` and `present_value_i`. They are bound to the same memory and updated in
place.
"""

from dataclasses import dataclass

import numpy as np

from image_processor.captioning.model_folder import Precision
from models.blip import Checkpoint, Text
from models.graph import FUSED, Graph
from models.products import look_up, multiply_blocks, multiply_table
from models.quantize import blocks
from models.weights import Floats


def decoder_graph(checkpoint: Checkpoint, precision: Precision = "fp32", graph: Graph | None = None) -> Graph:
    """Build it from the weights of `checkpoint`. int8: all matrices are stored in blocks of 8-bit numbers.

    `graph`: the empty graph to build it in.
    """
    kind = _Decoder if precision == "fp32" else _EightBitDecoder
    return kind(graph or Graph("decoder"), checkpoint).build()


Table = tuple[str, ...]
"""The weights that hold a table: one in fp32, integers and scales in 8 bits."""


@dataclass(frozen=True)
class _Decoder:
    graph: Graph
    checkpoint: Checkpoint

    @property
    def config(self) -> Text:
        return self.checkpoint.text

    @property
    def heads(self) -> int:
        return self.config.num_attention_heads

    @property
    def width(self) -> int:
        return self.config.hidden_size

    @property
    def head_size(self) -> int:
        return self.config.head_size

    def build(self) -> Graph:
        graph = self.graph
        graph.input("ids", ["rows"], "int64")
        graph.input("positions", ["rows"], "int64")
        graph.input("last_position", [1], "int32")
        graph.input("length", [], "int32")
        words, head = self._tables()
        value = self._embed(words)
        for layer in range(self.config.num_hidden_layers):
            value = self._self_attention(layer, value)
            value = self._cross_attention(layer, value)
            value = self._mlp(layer, value)
        self._head(value, head)
        return graph

    def linear(self, value: str, name: str, matrix: Floats) -> str:
        """Multiply (rows, K) by `matrix` (K, N)."""
        return self.graph.linear(value, name, matrix)

    def _tables(self) -> tuple[Table, Table]:
        """The tables of the word embeddings and of the head, which are usually the same."""
        words = self._weight("bert.embeddings.word_embeddings.weight")
        head = self._weight("cls.predictions.decoder.weight")
        # Transposed, because the head reads the whole table for every token, while a lookup reads only one column.
        table = self.store("words", words.T)
        return table, table if np.array_equal(words, head) else self.store("head", head.T)

    def store(self, name: str, matrix: Floats) -> Table:
        """Store a table (width, vocabulary) that is looked up in or multiplied by."""
        return (self.graph.weight(name, matrix),)

    def look_up(self, table: Table) -> str:
        """The columns of the tokens, as rows (rows, width)."""
        columns = self.graph.op("Gather", *table, "ids", axis=1)
        return self.graph.op("Transpose", columns, perm=[1, 0])

    def score(self, value: str, table: Table) -> str:
        """Multiply (1, width) by a table."""
        return self.graph.op("MatMul", value, *table)

    def _embed(self, words: Table) -> str:
        """The embedded tokens (rows, width)."""
        name = "bert.embeddings"
        word = self.look_up(words)
        places = self.graph.weight("places", self._weight(f"{name}.position_embeddings.weight"))
        place = self.graph.op("Gather", places, "positions", axis=0)
        return self._norm(f"{name}.LayerNorm", word, place)

    def _self_attention(self, layer: int, value: str) -> str:
        name = f"bert.encoder.layer.{layer}.attention"
        parts = [f"{name}.self.{part}" for part in ("query", "key", "value")]
        matrix = np.concatenate([self._weight(f"{part}.weight").T for part in parts], axis=1)
        bias = np.concatenate([self._weight(f"{part}.bias") for part in parts])
        product = self.linear(value, f"{name}.qkv", matrix)
        product = self.graph.op("Add", product, self.graph.weight(f"{name}.qkv.bias", bias))
        cache = [
            self.graph.input(f"cache_{part}_{layer}", [1, self.heads, "length", self.head_size])
            for part in ("key", "value")
        ]
        attended, key, value_cache = self.graph.ops(
            "GroupQueryAttention",
            self.graph.reshape(product, 1, -1, 3 * self.width),
            "",
            "",
            *cache,
            "last_position",
            "length",
            domain=FUSED,
            outputs=3,
            num_heads=self.heads,
            kv_num_heads=self.heads,
        )
        for part, output in (("key", key), ("value", value_cache)):
            self.graph.output(f"present_{part}_{layer}", [1, self.heads, "length", self.head_size], output)
        return self._close(f"{name}.output", self.graph.reshape(attended, -1, self.width), value)

    def _cross_attention(self, layer: int, value: str) -> str:
        graph, heads, size = self.graph, self.heads, self.head_size
        name = f"bert.encoder.layer.{layer}.crossattention"
        # The scale of the scores is folded into the query. This is exact if the size is a power of four, as BLIP's
        # 64.
        scale = np.float32(size**-0.5)
        query = self.linear(value, f"{name}.query", self._weight(f"{name}.self.query.weight").T * scale)
        query = graph.op(
            "Add", query, graph.weight(f"{name}.query.bias", self._weight(f"{name}.self.query.bias") * scale)
        )
        query = graph.op("Transpose", graph.reshape(query, -1, heads, size), perm=[1, 0, 2])
        key, value_input = (
            graph.input(f"cross_{part}_{layer}", [heads, self.checkpoint.vision.positions, size])
            for part in ("key", "value")
        )
        scores = graph.op("FusedMatMul", query, key, domain=FUSED, transB=1)
        attended = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), value_input)
        attended = graph.op("Transpose", attended, perm=[1, 0, 2])
        return self._close(f"{name}.output", graph.reshape(attended, -1, self.width), value)

    def _mlp(self, layer: int, value: str) -> str:
        name = f"bert.encoder.layer.{layer}"
        inner = self.linear(value, f"{name}.intermediate", self._weight(f"{name}.intermediate.dense.weight").T)
        bias = self.graph.weight(f"{name}.intermediate.bias", self._weight(f"{name}.intermediate.dense.bias"))
        inner = self.graph.op("BiasGelu", inner, bias, domain=FUSED)
        return self._close(f"{name}.output", inner, value)

    def _close(self, name: str, value: str, skipped: str) -> str:
        """Add the end of each part of a layer: a linear map, the residual sum, a norm."""
        product = self.linear(value, f"{name}.dense", self._weight(f"{name}.dense.weight").T)
        bias = self.graph.weight(f"{name}.bias", self._weight(f"{name}.dense.bias"))
        return self._norm(f"{name}.LayerNorm", product, skipped, bias)

    def _norm(self, name: str, value: str, skipped: str, *bias: str) -> str:
        parts = [self.graph.weight(f"{name}.{part}", self._weight(f"{name}.{part}")) for part in ("weight", "bias")]
        epsilon = self.config.layer_norm_eps
        return self.graph.op("SkipLayerNormalization", value, skipped, *parts, *bias, domain=FUSED, epsilon=epsilon)

    def _head(self, value: str, table: Table) -> None:
        graph, name = self.graph, "cls.predictions"
        last = graph.weight("last", np.array([-1], dtype=np.int64))
        value = graph.op("Gather", value, last, axis=0)
        matrix = self._weight(f"{name}.transform.dense.weight").T
        value = self.linear(value, f"{name}.transform", matrix)
        bias = graph.weight(f"{name}.transform.bias", self._weight(f"{name}.transform.dense.bias"))
        value = graph.op("BiasGelu", value, bias, domain=FUSED)
        norm = [
            graph.weight(f"{name}.norm.{part}", self._weight(f"{name}.transform.LayerNorm.{part}"))
            for part in ("weight", "bias")
        ]
        value = graph.op("LayerNormalization", value, *norm, axis=-1, epsilon=self.config.layer_norm_eps)
        logits = self.score(value, table)
        bias = graph.weight(f"{name}.bias", self._weight(f"{name}.decoder.bias"))
        graph.output("logits", [1, self.config.vocab_size], graph.op("Add", logits, bias))

    def _weight(self, name: str) -> Floats:
        return self.checkpoint.weight(f"text_decoder.{name}")


class _EightBitDecoder(_Decoder):
    """All matrices in blocks of 8-bit numbers: a token takes as long as reading them."""

    def linear(self, value: str, name: str, matrix: Floats) -> str:
        return multiply_blocks(self.graph, value, name, matrix)

    def store(self, name: str, matrix: Floats) -> Table:
        integers, scales = blocks(matrix)
        return self.graph.weight(name, integers), self.graph.weight(f"{name}.scales", scales)

    def look_up(self, table: Table) -> str:
        return look_up(self.graph, table, "ids", self.width)

    def score(self, value: str, table: Table) -> str:
        return multiply_table(self.graph, value, table, (self.width, self.config.vocab_size))
