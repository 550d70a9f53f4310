"""The gateway: OpenAI-compatible routes over our own engine or any endpoint, with keys, limits, releases and a traffic log."""
