"""The `wirechat` command."""
