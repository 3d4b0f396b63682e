"""How Sphinx builds the site of the documentation: see contributing/documentation.md."""

from importlib.metadata import version as version_of

project = "Rankline"
copyright = "The authors of Rankline, Apache 2.0"
version = release = version_of("rankline")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generate", "static"]

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 4
"""Headings down to this rank can be linked to, by the anchors that GitHub gives them."""
# Of the shown sessions not all begin with a command, and highlighting would mark their lines as errors.
highlight_language = "none"

autodoc_typehints = "description"
autoclass_content = "both"
default_role = "code"
autodoc_member_order = "bysource"

html_theme = "pydata_sphinx_theme"
html_title = f"Rankline {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
# A browser does not let a page that was opened from disk fetch the pages that summaries are from.
html_show_search_summary = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
