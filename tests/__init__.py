"""A package in its own right: a folder without this file loses to a library that installs a `tests` of its own."""
