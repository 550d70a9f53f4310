"""Suites that a model is measured on besides the user's task; so far the list of rows kept out of the starter's training."""
