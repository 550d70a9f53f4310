"""What a plan is made from: the model's shape, the rows' lengths, the hardware, the user's wishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from provetune.records.candidate import ModelRef
from provetune.spec import BudgetSpec, TrainSpec

Targets = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class ModelShape:
    """A decoder of the Llama family: widths and counts as in its config.json.

    `mlp_matrices` is 3 for gated MLPs (gate, up, down), 2 for plain ones; `tied` where the LM head is the embedding.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    mlp_matrices: int
    vocabulary: int
    tied: bool

    @property
    def linear_layers(self) -> Targets:
        """(inputs, outputs) of each linear layer of one decoder layer, by its usual name."""
        attention, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        gate: Targets = {"gate_proj": (self.hidden, self.mlp)} if self.mlp_matrices == 3 else {}
        return {
            "q_proj": (self.hidden, attention),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (attention, self.hidden),
            **gate,
            "up_proj": (self.hidden, self.mlp),
            "down_proj": (self.mlp, self.hidden),
        }

    @property
    def linear_parameters(self) -> int:
        """Parameters of the linear layers of all decoder layers."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear_layers.values())

    @property
    def parameters(self) -> int:
        """All parameters: linear layers, embedding, the LM head where it is not tied, norms; biases are not counted."""
        return self.linear_parameters + (1 if self.tied else 2) * self.head_parameters + (2 * self.layers + 1) * self.hidden

    @property
    def head_parameters(self) -> int:
        """Parameters of the embedding, and as many again of the LM head where it is not tied."""
        return self.vocabulary * self.hidden


@dataclass(frozen=True)
class Hardware:
    """Where training will run: one CPU machine or one GPU.

    `flops_per_s` is the measured speed of large matrix products, None where it was not measured.
    """

    name: str
    memory_gib: float
    kind: Literal["cpu", "gpu"]
    flops_per_s: float | None


@dataclass(frozen=True)
class PlanRequest:
    """`row_lengths`: tokens of each training row, under the model's own tokenizer and template.

    `pairs` counts rows with a rejected answer, `labels` those of the task.
    """

    model: ModelRef
    shape: ModelShape
    train: TrainSpec
    budget: BudgetSpec
    row_lengths: Sequence[int]
    test_rows: int
    hardware: Hardware
    pairs: int = 0
    labels: int = 0
