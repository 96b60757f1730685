"""The bus: hints between the nodes of a cluster. It makes delivery fast; the store and the pass over it make it right.

Knows nothing of the project: bytes in, bytes out.
"""
