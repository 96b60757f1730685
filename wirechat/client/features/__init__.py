"""What a program can do with a client, one file for each feature.

Rules: a feature names in its constructor what it needs and holds no data; features never import each other.
"""
