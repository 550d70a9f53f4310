"""A package of its own, so that no library that installs a package called `tests` stands in its way."""
