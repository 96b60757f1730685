"""Checks a running server from the outside, with nothing but `protocol/` in common with it."""
