"""How the store fails, by what the caller may conclude."""


class StoreError(Exception):
    """The store could not do it."""


class Unavailable(StoreError):
    """Surely not executed."""


class StorageFull(Unavailable):
    """The disk is full; surely not executed. Works again once there is room."""


class Violated(Unavailable):
    """A constraint of the schema objected: another transaction was first. Surely not executed."""


class OutcomeUnknown(StoreError):
    """The commit was interrupted: executed or not."""


class DataError(StoreError):
    """The data cannot be used: locked, foreign, too new, changed. One line for the operator."""


class NoData(DataError):
    """There is none yet."""


class Newer(DataError):
    """A newer wirechat has brought the data up to date."""


class InUse(DataError):
    """Another process has the directory."""


class Damaged(DataError):
    """The file is damaged: restore a backup."""
