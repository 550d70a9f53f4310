"""The whole flow, top to bottom; the only place that knows an order."""
