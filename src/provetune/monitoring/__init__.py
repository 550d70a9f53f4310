"""Watching a model after shipping: data drift, harm, the clock, and when a new tuning is proposed."""
