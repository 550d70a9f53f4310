"""The detectors: one file each, one signature, `(reference, window, settings) -> DriftSignal`."""

from __future__ import annotations

from collections.abc import Callable

from provetune.monitoring.detectors.fertility import fertility
from provetune.monitoring.detectors.label_mix import label_mix
from provetune.monitoring.detectors.language import language
from provetune.monitoring.detectors.lengths import lengths
from provetune.monitoring.detectors.mmd_embedding import mmd_embedding
from provetune.monitoring.detectors.mmd_terms import mmd_terms
from provetune.monitoring.detectors.new_terms import new_terms
from provetune.monitoring.detectors.out_of_scope import out_of_scope
from provetune.monitoring.detectors.output_mix import output_mix
from provetune.monitoring.detectors.schema_failures import schema_failures
from provetune.monitoring.detectors.surprise import surprise
from provetune.monitoring.sample import Sample
from provetune.monitoring.settings import Settings
from provetune.records.monitoring import DriftSignal

Detector = Callable[[Sample, Sample, Settings], DriftSignal]

DETECTORS: dict[str, Detector] = {
    "new_terms": new_terms,
    "mmd_terms": mmd_terms,
    "mmd_embedding": mmd_embedding,
    "lengths": lengths,
    "language": language,
    "label_mix": label_mix,
    "output_mix": output_mix,
    "fertility": fertility,
    "surprise": surprise,
    "out_of_scope": out_of_scope,
    "schema_failures": schema_failures,
}
"""Every detector by its name, in the order a report shows them."""

__all__ = ["DETECTORS", "Detector"]
