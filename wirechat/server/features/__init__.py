"""What clients can ask for: one class a file, whose constructor names what it needs. Features never import each
other.
"""
