"""The list of checks of clients; see catalogue.py beside this package."""

from functools import partial

from .. import catalogue

check = partial(catalogue.check, bank=catalogue.CLIENT_CHECKS)
