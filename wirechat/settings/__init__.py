"""What the operator decides: one TOML file, the environment over it, flags over both.

`schema` says what there is, `reading` brings it together, `reference` prints it for people. The server's core knows
nothing of this; it is given a `server.config.Config`.
"""
