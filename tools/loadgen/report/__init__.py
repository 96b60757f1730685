"""A result for people and machines: `figures` says what there is to say, `table`, `page` and `file` say it."""
