"""How Sphinx builds this folder; `make docs` calls it."""

import re

from sphinx.application import Sphinx

project = 'v2v_pose_ros'
copyright = 'the v2v_pose_ros maintainers, Apache-2.0'

extensions = ['myst_parser']
root_doc = 'index'
exclude_patterns = ['images', 'static']

html_theme = 'furo'
html_title = 'v2v_pose_ros'
html_copy_source = False
html_static_path = ['static']
html_css_files = ['pages.css']
highlight_language = 'none'

myst_heading_anchors = 4

# Pages link to the models' card where it lies in the repository; here it is a page.
CARD = re.compile(r'\]\((?:\.\./)+models/README\.md')


def setup(app: Sphinx) -> None:
    """Rewrite the links that lead out of the folder."""
    app.connect('source-read', _link_card)


def _link_card(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = CARD.sub('](/reference/model-card.md', source[0])
