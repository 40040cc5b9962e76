r"""A shell script's words and operators, with their places: quotes, substitutions, comments, heredocs. No structure.

Written by hand because the grammars that can be had stop at ordinary scripts (`[ "$n" \> 0 ]`, `for i do`) and take
the rest of the file for something else; a lint must go on behind what it does not understand. Every scan passes once,
without recursion.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache

WORD, OPERATOR, REDIRECT, NEWLINE, END = "word", "operator", "redirect", "newline", "end"
_PLAIN = re.compile(r"[^\s;&|<>()$`'\"\\]+")
_BLANK = re.compile(r"(?:[ \t\r\f\v]|\\\r?\n)+")
_REDIRECT = re.compile(r"\d*(?:<<<|<<-|<<|<>|<&|>>|>&|>\||<|>)|&>>|&>")
_OPERATOR = re.compile(r";;&|;;|;&|&&|\|\||\|&|[;&|()]")
_SINGLE = re.compile(r"'[^']*'")
_ESCAPED_SINGLE = re.compile(r"\$'(?:[^'\\]|\\.)*'", re.DOTALL)
_QUICK = re.compile(r"[^\\'\"$`(){}]+")  # what no stack of a scan has to look at
_UNQUOTED = re.compile(
    r"\$'(?P<ansi>(?:[^'\\]|\\.)*)'|'(?P<single>[^']*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\"|\\(?P<escaped>.)"
    r"|(?P<plain>[^'\"\\$]+|.)",
    re.DOTALL,
)
_ESCAPED, _ESCAPED_IN_DOUBLE = re.compile(r"\\(.)", re.DOTALL), re.compile(r"\\([$`\"\\])")
_EXTENDED_GLOB = "?*+@!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word as it stands, quotes and all; offsets are into the script."""

    raw: str
    start: int
    line: int

    @property
    def end(self) -> int:
        return self.start + len(self.raw)

    @property
    def value(self) -> str:
        """Return the word without its quotes; what a shell would put in is left as it is written."""
        return unquoted(self.raw)

    @property
    def is_quoted(self) -> bool:
        return self.raw[:1] in ("'", '"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of the script. `word` is set for words, and `body` (where it begins and ends) for heredocs."""

    kind: str
    text: str
    start: int
    line: int
    word: Word | None = None


@dataclass(slots=True, kw_only=True)
class Reader:
    """Yields tokens of a part of a script, one at a time.

    Args:
        text: the whole script.
        at: where to begin.
        end: where to stop.
        line_starts: offsets at which lines begin.
    """

    text: str
    at: int
    end: int
    line_starts: list[int]
    comments: list[Word] = field(default_factory=list)
    unclosed: list[int] = field(default_factory=list)
    _heredocs: list[tuple[str, bool]] = field(default_factory=list)
    _wants_delimiter: str = ""

    def line(self, offset: int) -> int:
        """Return the number of the line, from 1, that an offset lies in."""
        return bisect_right(self.line_starts, offset)

    def next(self, *, in_test: bool = False) -> Token:
        """Return the next token. In a `[[`, operators and redirections are words."""
        self._skip_blank()
        start = self.at
        if start >= self.end:
            return self._token(END, start)
        if self.text[start] == "\n":
            self.at += 1
            self._skip_heredocs()
            return self._token(NEWLINE, start, "\n")
        if not self._starts_substitution(start):
            for kind, pattern in ((REDIRECT, _REDIRECT), (OPERATOR, _OPERATOR)):
                found = pattern.match(self.text, start, self.end)
                if found:
                    self.at = found.end()
                    if kind == REDIRECT:
                        self._wants_delimiter = found[0].lstrip("0123456789")
                    return self._token(WORD if in_test else kind, start, found[0])
        self.at = self._end_of_word(start)
        raw = self.text[start : self.at]
        if self._wants_delimiter in ("<<", "<<-"):
            self._heredocs.append((unquoted(raw), self._wants_delimiter == "<<-"))
        self._wants_delimiter = ""
        return self._token(WORD, start, raw)

    def arithmetic(self, start: int) -> Word:
        """Read `(( ... ))` from its beginning."""
        self.at = _end_of_nest(self.text, start, self.end, self.unclosed)
        return Word(raw=self.text[start : self.at], start=start, line=self.line(start))

    def _token(self, kind: str, start: int, text: str = "") -> Token:
        word = Word(raw=text, start=start, line=self.line(start)) if kind == WORD else None
        return Token(kind=kind, text=text, start=start, line=self.line(start), word=word)

    def _skip_blank(self) -> None:
        found = _BLANK.match(self.text, self.at, self.end)
        if found:
            self.at = found.end()
        if self.at < self.end and self.text[self.at] == "#":
            stop = self.text.find("\n", self.at, self.end)
            stop = self.end if stop < 0 else stop
            self.comments.append(Word(raw=self.text[self.at : stop], start=self.at, line=self.line(self.at)))
            self.at = stop

    def _skip_heredocs(self) -> None:
        for delimiter, strips in self._heredocs:
            while self.at < self.end:
                stop = self.text.find("\n", self.at, self.end)
                stop = self.end if stop < 0 else stop
                line = self.text[self.at : stop].removesuffix("\r")
                self.at = min(stop + 1, self.end)
                if (line.lstrip("\t") if strips else line) == delimiter:
                    break
        self._heredocs.clear()

    def _starts_substitution(self, at: int) -> bool:
        return self.text[at] in "<>" and self.text[at + 1 : at + 2] == "(" and at + 1 < self.end

    def _end_of_word(self, start: int) -> int:
        text, at, end = self.text, start, self.end
        if self._starts_substitution(at):
            at = _end_of_nest(text, at + 1, end, self.unclosed)
        while at < end:
            found = _PLAIN.match(text, at, end)
            if found:
                at = found.end()
                if at >= end:
                    break
            char = text[at]
            if char == "(" and at > start and (text[at - 1] == "=" or text[at - 1] in _EXTENDED_GLOB):
                at = _end_of_nest(text, at, end, self.unclosed)
            elif char in "'\"`$\\":
                at = _end_of_piece(text, at, end, self.unclosed)
            else:
                break
        return max(at, min(start + 1, end))


def names(text: str) -> frozenset[str]:
    """Return the words of a text as a set: lists of names are read better so."""
    return frozenset(text.split())


@lru_cache(maxsize=4096)
def unquoted(raw: str) -> str:
    """Return a word without its quotes and backslashes."""
    out, at = [], 0
    while at < len(raw):
        found = _UNQUOTED.match(raw, at)
        assert found is not None  # the last of its alternatives takes any character
        piece = found[found.lastgroup or 0]
        if found.lastgroup == "double":
            piece = _ESCAPED_IN_DOUBLE.sub(r"\1", piece)
        elif found.lastgroup == "ansi":
            piece = _ESCAPED.sub(r"\1", piece)
        out.append(piece)
        at = found.end()
    return "".join(out)


def substitutions(word: Word) -> list[tuple[int, int]]:
    """Return where the commands in a word's `$(...)` and backquotes begin and end; not those inside of others."""
    raw, at, found, none = word.raw, 0, [], list[int]()
    in_double = False
    while at < len(raw):
        char = raw[at]
        if char == "\\":
            at += 2
        elif char == '"':
            in_double = not in_double
            at += 1
        elif char == "'" and not in_double:
            at = _end_of_piece(raw, at, len(raw), none)
        elif char == "`" or raw.startswith("$(", at) or (at == 0 and raw[:2] in ("<(", ">(")):
            stop = _end_of_piece(raw, at, len(raw), none) if char in "`$" else len(raw)
            if not raw.startswith("$((", at):
                found.append((word.start + at + (1 if char == "`" else 2), word.start + max(at + 1, stop - 1)))
            at = stop
        else:
            at += 1
    return found


def _end_of_piece(text: str, at: int, end: int, unclosed: list[int]) -> int:
    """Return where a quote, an escape or an expansion ends that begins at `at`."""
    char = text[at]
    if char == "\\":
        return min(at + 2, end)
    pattern = _SINGLE if char == "'" else _ESCAPED_SINGLE if text.startswith("$'", at) else None
    if pattern:
        found = pattern.match(text, at, end)
        if not found:
            unclosed.append(at)
        return found.end() if found else end
    if char == "$" and (at + 1 >= end or text[at + 1] not in '({"'):
        return at + 1
    return _end_of_nest(text, at + (char == "$"), end, unclosed)


def _end_of_nest(text: str, at: int, end: int, unclosed: list[int]) -> int:
    """Return where what begins at `at` with `(`, `{`, a double quote or a backquote ends, whatever is nested in it."""
    start = at
    stack: list[str] = []
    while at < end:
        found = _QUICK.match(text, at, end)
        if found:
            at = found.end()
            if at >= end:
                break
        char, top = text[at], stack[-1] if stack else ""
        if char == "\\":
            at += 2
            continue
        if char == "'" and top not in ('"', "`"):
            quote = _SINGLE.match(text, at, end)
            if not quote:
                break
            at = quote.end()
            continue
        if char == top:
            stack.pop()
        elif char == "$" and text[at + 1 : at + 2] in ("(", "{"):
            stack.append(")" if text[at + 1] == "(" else "}")
            at += 1
        elif char in '"`':
            stack.append(char)
        elif char == "(" and top in ("", ")"):
            stack.append(")")
        elif char == "{" and top in ("", "}"):
            stack.append("}")
        at += 1
        if not stack:
            return min(at, end)
    unclosed.append(start)
    return end
