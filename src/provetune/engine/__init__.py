"""The fast core: packing, attention over packed rows, loss, generation, log-likelihood."""

import os

# Packs are seldom of equal length, and oneDNN keeps the kernels of 1,024 shapes: some 20 MB more with every optimizer step (docs/probe.md).
for _cache in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
    os.environ.setdefault(_cache, "64")
