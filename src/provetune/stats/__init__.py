"""Statistics: every number with its interval, every comparison paired. Needs numpy and scipy only."""
