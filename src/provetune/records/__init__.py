"""Every record that reaches disk; validation only."""
