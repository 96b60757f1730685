"""The attacks of README.md, each against a real server."""
