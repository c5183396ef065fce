"""The pages of the documentation, taken apart: commands, Python and YAML in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re
import shlex

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).parents[1]
PAGES = tuple(
    sorted(
        str(file.relative_to(REPOSITORY))
        for file in (REPOSITORY / 'README.md', *(REPOSITORY / 'docs').rglob('*.md'))
    )
)
SHELL = ('console', 'bash', 'sh')


@dataclass(frozen=True)
class Block:
    """A block of code on a page; indented ones have no language."""

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """One program with its arguments, and what is said behind a hash on its line."""

    page: str
    line: int
    words: tuple[str, ...]
    remark: str
    fenced: bool

    def __str__(self) -> str:
        """Return where it is and what it is, for the names of tests."""
        return f'{self.page}:{self.line}: {shlex.join(self.words)}'

    @property
    def is_marked(self) -> bool:
        """Whether it says what it needs, or that it takes long."""
        return bool(re.search(r'\b(needs|takes)\b', self.remark))


def blocks() -> Iterator[Block]:
    """Yield every block of code of every page."""
    for page in PAGES:
        for token in MarkdownIt().parse((REPOSITORY / page).read_text()):
            if token.type in ('fence', 'code_block'):
                language = token.info.strip() if token.type == 'fence' else ''
                assert token.map is not None
                yield Block(page, token.map[0] + 1, language, token.content)


def commands() -> Iterator[Command]:
    """Yield every command of every page; a pipe and && divide a line into several."""
    for block in blocks():
        if block.language not in ('', *SHELL):
            continue
        text = block.text.replace('\\\n', ' ')
        for line in text.splitlines():
            code, _, remark = line.partition(' #')
            try:
                words = shlex.split(code, comments=True)
            except ValueError:  # a quotation mark in prose: no command
                continue
            for part in _divided(words):
                yield Command(block.page, block.line, part, remark, block.language in SHELL)


def _divided(words: list[str]) -> Iterator[tuple[str, ...]]:
    part: list[str] = []
    for word in [*words, '&&']:
        if word not in ('&&', '|', ';'):
            part.append(word)
        elif part:
            yield tuple(part)
            part = []
