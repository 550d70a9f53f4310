"""The fast core: packing, attention over packed rows, loss, generation, log-likelihood."""
