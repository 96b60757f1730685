"""Checks servers and clients from the outside, with nothing but `protocol/` in common with them."""
