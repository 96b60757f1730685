"""Known vulnerabilities of what is installed with this project: `pip-audit`, and an honest word on what it could see.

By itself it says that all is well when the service that it asks has never heard of a package, as behind an index that
carries no advisories. Here that counts as not audited, and is said.
"""
