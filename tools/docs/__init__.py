"""Pages of docs/ that follow from the code: `python -m tools.docs generate`, kept fresh by `check`."""
