"""Sphinx configuration; `make docs` builds the pages into docs/_build/html."""

from importlib.metadata import version as version_of

project = "bluesky_xtag"
author = "the bluesky_xtag developers"
copyright = "2026, the bluesky_xtag developers"
release = version = version_of("bluesky_xtag")

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
default_role = "py:obj"  # what docstrings put in single backticks
html_theme = "furo"
html_title = f"bluesky_xtag {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
numpydoc_show_class_members = False
numpydoc_show_inherited_class_members = False
