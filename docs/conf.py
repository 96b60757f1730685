"""The site: MyST Markdown over docs/, built by `make docs` without a warning.

Rules: every page is readable on a plain forge too, so diagrams are text and links are relative paths. A page that no
table of contents names is a warning, and a warning is an error.
"""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "wirechat"
author = "the wirechat authors"
release = version = version_of("wirechat")

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings"]
exclude_patterns = ["_build", "_ext"]
default_role = "code"
highlight_language = "none"
smartquotes = False  # it would make one dash of the two before an option

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False
# Types of Python and its packages, and our own that no page describes: named, not linked.
nitpick_ignore_regex = [("py:.*", r"(?!wirechat\.client\.).*")]

html_theme = "furo"
html_title = f"wirechat {release}"
html_copy_source = False
html_show_sphinx = html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
