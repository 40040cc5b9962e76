"""A shell script's commands, each with where it stands: in which function, under which conditions, behind which `&`.

A stack of open compound commands is all the structure that a lint needs. What does not fit (a `fi` without its `if`)
is noted and passed over; the rest is still read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from outlast.errors import UsageError
from outlast.jobscript import tokens
from outlast.jobscript.command import Assignment, Command, Guard, Place, Redirect
from outlast.jobscript.tokens import Reader, Token, Word

MAX_COMMANDS = 3000  # some rules look at pairs of them
_MAX_DEPTH = 60
_MAX_SUBSTITUTIONS = 6
_MAX_CONDITION = 2000  # characters of a condition that are kept
_ASSIGNING = ("export", "declare", "typeset", "local", "readonly")
_SEPARATORS = (";", "&", "|", "|&", "&&", "||")
_CLOSERS = {"fi": "if", "done": "loop", "esac": "case", "}": "{"}


@dataclass(slots=True, kw_only=True)
class _Frame:
    """An open compound command."""

    kind: str  # "", if, loop, case, {, (
    of: int
    place: Place  # of what stands inside, without the and-or list's guard
    state: str = "body"  # condition, body, pattern
    branch: int = 0
    text_from: int = 0
    said: str = ""
    is_over: bool = False  # closed: only redirections, an operator or a separator may follow
    list_from: int = 0  # offset at which the and-or list began
    first: int = 0  # its first command
    pipeline: int = 0
    guard: tuple[Guard, ...] = ()


@dataclass(slots=True, kw_only=True)
class Shell:
    """What was read. `troubles` are the lines that were not understood."""

    commands: list[Command] = field(default_factory=list)
    comments: list[Word] = field(default_factory=list)
    functions: dict[str, int] = field(default_factory=dict)  # name: offset
    troubles: list[int] = field(default_factory=list)


def line_starts(text: str) -> list[int]:
    """Return the offsets at which lines begin."""
    return [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]


def read(text: str, starts: list[int], *, begin: int = 0, end: int | None = None, place: Place | None = None) -> Shell:
    """Read a script, or a part of it, with the commands in its substitutions.

    Raises:
        UsageError: it has more commands than any job script.
    """
    shell = Shell()
    parts = [(begin, len(text) if end is None else end, place or Place(), 0)]
    while parts:
        at, stop, where, depth = parts.pop()
        part = _Part(reader=Reader(text=text, at=at, end=stop, line_starts=starts), shell=shell, place=where)
        for command in part.commands():
            shell.commands.append(command)
            if len(shell.commands) > MAX_COMMANDS:
                raise UsageError(
                    f"more than {MAX_COMMANDS} commands", hint="name a job script: a short shell script for sbatch"
                )
            if depth < _MAX_SUBSTITUTIONS:
                inner = replace(where_of(command), in_substitution=True)
                parts.extend((*span, inner, depth + 1) for word in _all_words(command) for span in _spans(word))
        shell.comments.extend(part.reader.comments)
        shell.troubles.extend(part.reader.line(offset) for offset in part.reader.unclosed)
    shell.commands.sort(key=lambda command: command.start)
    shell.troubles.sort()
    return shell


def where_of(command: Command) -> Place:
    """Return the place that what stands inside a command has."""
    return Place(
        function=command.function,
        guards=command.guards,
        in_loop=command.in_loop,
        in_condition=command.in_condition,
        in_substitution=command.in_substitution,
        handler=command.handler,
    )


def _all_words(command: Command) -> Iterator[Word]:
    yield from command.words
    yield from (one.value for one in command.assignments if one.value)
    yield from (one.target for one in command.redirects)


def _spans(word: Word) -> list[tuple[int, int]]:
    return tokens.substitutions(word) if "$(" in word.raw or "`" in word.raw or word.raw[:2] in ("<(", ">(") else []


_numbers = itertools.count(1)  # only to tell one from another


@dataclass(slots=True, kw_only=True)
class _Part:
    """Reads one part of a script with a stack of open compound commands."""

    reader: Reader
    shell: Shell
    place: Place
    stack: list[_Frame] = field(default_factory=list)
    done: list[Command] = field(default_factory=list)
    pending_function: str = ""

    def commands(self) -> list[Command]:
        self.stack = [self._frame("", self.place)]
        token = self.reader.next()
        while token.kind != tokens.END:
            token = self._step(token)
        if len(self.stack) > 1:
            self._trouble(token)
        return self.done

    @property
    def top(self) -> _Frame:
        return self.stack[-1]

    def _step(self, token: Token) -> Token:
        """Take what begins with `token`, at a place where a command may begin; return the token behind it."""
        frame = self.top
        if token.kind == tokens.NEWLINE or (token.kind == tokens.OPERATOR and token.text in _SEPARATORS):
            self._separator(token)
            return self.reader.next()
        if frame.kind == "case" and frame.state == "pattern":
            return self._pattern(token)
        if token.kind == tokens.OPERATOR:
            return self._operator(token)
        if token.kind == tokens.WORD:
            keyword = getattr(self, _KEYWORDS.get(token.text, ""), None)
            if keyword:
                following: Token = keyword(token)
                return following
        return self._simple(token)

    def _separator(self, token: Token) -> None:
        frame = self.top
        if token.text == "&":
            for command in self.done[frame.first :]:
                command.is_background = True
        frame.is_over = False
        if token.text in ("&&", "||"):
            text = self._text(frame.list_from, token.start)
            frame.guard = (Guard(kind=token.text, text=text, of=next(_numbers)),)
            frame.pipeline = next(_numbers)
        elif token.text not in ("|", "|&") and not (token.kind == tokens.NEWLINE and self._goes_on(frame, token)):
            self._begin_list(frame, self.reader.at)

    def _goes_on(self, frame: _Frame, token: Token) -> bool:
        """Whether a newline stands right behind an operator, so that the list goes on."""
        before = self._text(frame.list_from, token.start).rstrip()
        return before.endswith(("&&", "||", "|"))

    def _begin_list(self, frame: _Frame, offset: int) -> None:
        frame.list_from, frame.first, frame.guard = offset, len(self.done), ()
        frame.pipeline = next(_numbers)

    def _operator(self, token: Token) -> Token:
        if token.text == "(":
            if self.reader.text.startswith("((", token.start):
                word = self.reader.arithmetic(token.start)
                self._add(Command(line=word.line, start=word.start, end=word.end, words=(word,)))
                return self.reader.next()
            self._push("(")
        elif token.text == ")" and self.top.kind == "(":
            self._pop()
        elif token.text in (";;", ";&", ";;&") and self.top.kind == "case":
            self.top.state, self.top.branch = "pattern", self.top.branch + 1
        else:
            self._trouble(token)
        return self.reader.next()

    # --- reserved words

    def _if(self, _: Token) -> Token:
        self._push("if", state="condition", text_from=self.reader.at)
        return self.reader.next()

    def _then(self, token: Token) -> Token:
        frame = self.top
        if frame.kind != "if" or frame.state != "condition":
            return self._misplaced(token)
        frame.said = self._text(frame.text_from, token.start)
        self._enter(frame, "if")
        return self.reader.next()

    def _elif(self, token: Token) -> Token:
        frame = self.top
        if frame.kind != "if":
            return self._misplaced(token)
        outer = self._outer()
        frame.branch, frame.state, frame.text_from = frame.branch + 1, "condition", self.reader.at
        frame.place = replace(outer, in_condition=True)
        self._begin_list(frame, self.reader.at)
        return self.reader.next()

    def _else(self, token: Token) -> Token:
        if self.top.kind != "if":
            return self._misplaced(token)
        self.top.branch += 1
        self._enter(self.top, "else")
        return self.reader.next()

    def _while(self, _: Token) -> Token:
        self._push("loop", state="condition", text_from=self.reader.at)
        self.top.place = replace(self.top.place, in_loop=True)
        return self.reader.next()

    def _for(self, _: Token) -> Token:
        self._push("loop", state="condition", text_from=self.reader.at)
        following = self.reader.next()
        if following.word and following.text != "do":
            unknown = Assignment(name=following.text, value=None, line=following.line, start=following.start)
            self._add(Command(line=following.line, start=following.start, end=self.reader.at, assignments=(unknown,)))
        while following.kind == tokens.WORD and following.text != "do":
            following = self.reader.next()
        if following.text == "(":
            self.reader.arithmetic(following.start)
            following = self.reader.next()
        return following

    def _do(self, token: Token) -> Token:
        frame = self.top
        if frame.kind != "loop" or frame.state != "condition":
            return self._misplaced(token)
        frame.said = self._text(frame.text_from, token.start)
        self._enter(frame, "loop")
        frame.place = replace(frame.place, in_loop=True)
        return self.reader.next()

    def _case(self, _: Token) -> Token:
        self._push("case", state="pattern")
        following = self.reader.next()
        self.top.said = following.text
        while following.kind in (tokens.WORD, tokens.NEWLINE) and following.text != "in":
            following = self.reader.next()
        return self.reader.next() if following.text == "in" else following

    def _pattern(self, token: Token) -> Token:
        if token.text == "esac":
            return self._close(token)
        start = token.start
        if token.text == "(":
            token = self.reader.next()
        while token.kind == tokens.WORD or token.text == "|":
            token = self.reader.next()
        frame = self.top
        if token.text != ")":
            self._trouble(token)
            frame.state = "body"
            return token if token.kind == tokens.END else self.reader.next()
        text = f"{frame.said} {self._text(start, token.start)}"
        frame.state = "body"
        guard = Guard(kind="case", text=text, of=frame.of, branch=frame.branch)
        outer = self._outer()
        frame.place = replace(outer, guards=(*outer.guards, guard))
        self._begin_list(frame, self.reader.at)
        return self.reader.next()

    def _brace(self, _: Token) -> Token:
        self._push("{")
        return self.reader.next()

    def _close(self, token: Token) -> Token:
        if self.top.kind != _CLOSERS[token.text]:
            return self._misplaced(token)
        self._pop()
        return self.reader.next()

    def _function(self, _: Token) -> Token:
        following = self.reader.next()
        self._named(following)
        following = self.reader.next()
        if following.text == "(":
            self.reader.next()
            following = self.reader.next()
        return following

    def _skip(self, _: Token) -> Token:
        return self.reader.next()

    def _test(self, token: Token) -> Token:
        words = []
        current = token
        while current.kind == tokens.WORD and current.word:
            words.append(current.word)
            if current.text == "]]":
                break
            current = self.reader.next(in_test=True)
        self._add(Command(line=token.line, start=token.start, end=self.reader.at, words=tuple(words)))
        return self.reader.next()

    # --- simple commands

    def _simple(self, token: Token) -> Token:
        command = Command(line=token.line, start=token.start, end=token.start + len(token.text))
        words: list[Word] = []
        set_here: list[Assignment] = []
        redirects: list[Redirect] = []
        while token.kind in (tokens.WORD, tokens.REDIRECT):
            if token.kind == tokens.REDIRECT:
                target = self.reader.next()
                if target.word is None:
                    self._trouble(token)
                    token = target
                    break
                redirects.append(
                    Redirect(operator=token.text.lstrip("0123456789"), target=target.word, start=token.start)
                )
            elif token.word:
                found = _assignment(token.word)
                if found and (not words or words[0].value in _ASSIGNING):
                    set_here.append(found)
                else:
                    words.append(token.word)
            command.end = self.reader.at
            token = self.reader.next()
        if token.text == "(" and len(words) == 1 and not set_here:
            return self._definition(words[0])
        command.words, command.assignments, command.redirects = tuple(words), tuple(set_here), tuple(redirects)
        if not self.top.is_over:  # else redirections of a compound command
            self._add(command)
        return token

    def _definition(self, name: Word) -> Token:
        self.pending_function = name.value
        self.shell.functions[name.value] = name.start
        closing = self.reader.next()
        return self.reader.next() if closing.text == ")" else closing

    def _named(self, token: Token) -> None:
        self.pending_function = token.text
        self.shell.functions[token.text] = token.start

    def _add(self, command: Command) -> None:
        frame = self.top
        place = frame.place
        command.function, command.in_loop, command.in_condition = place.function, place.in_loop, place.in_condition
        command.guards = (*place.guards, *frame.guard)
        command.in_substitution, command.handler = place.in_substitution, place.handler
        command.pipeline = frame.pipeline
        self.done.append(command)

    # --- the stack

    def _frame(self, kind: str, place: Place, state: str = "body", text_from: int = 0) -> _Frame:
        frame = _Frame(kind=kind, of=next(_numbers), place=place, state=state, text_from=text_from)
        self._begin_list(frame, self.reader.at)
        return frame

    def _outer(self) -> Place:
        """Return the place in which the top compound command itself stands."""
        below = self.stack[-2]
        function = self.top.place.function
        return replace(below.place, guards=(*below.place.guards, *below.guard), function=function)

    def _push(self, kind: str, *, state: str = "body", text_from: int = 0) -> None:
        if len(self.stack) > _MAX_DEPTH:
            raise UsageError(
                f"line {self.reader.line(self.reader.at)}: compound commands are nested more than {_MAX_DEPTH} deep",
                hint="name a job script: a short shell script for sbatch",
            )
        outer = self.top
        place = replace(
            outer.place,
            guards=(*outer.place.guards, *outer.guard),
            function=self.pending_function or outer.place.function,
            in_condition=outer.place.in_condition or state == "condition",
        )
        self.pending_function = ""
        self.stack.append(self._frame(kind, place, state, text_from))

    def _enter(self, frame: _Frame, kind: str) -> None:
        outer = self._outer()
        guard = Guard(kind=kind, text=frame.said, of=frame.of, branch=frame.branch)
        frame.state, frame.place = "body", replace(outer, guards=(*outer.guards, guard))
        self._begin_list(frame, self.reader.at)

    def _pop(self) -> None:
        self.stack.pop()
        self.top.is_over = True

    def _misplaced(self, token: Token) -> Token:
        self._trouble(token)
        return self.reader.next()

    def _trouble(self, token: Token) -> None:
        self.shell.troubles.append(token.line)

    def _text(self, start: int, end: int) -> str:
        return self.reader.text[max(start, end - _MAX_CONDITION) : end].strip().rstrip(";").strip()


_KEYWORDS = {
    "if": "_if",
    "then": "_then",
    "elif": "_elif",
    "else": "_else",
    "while": "_while",
    "until": "_while",
    "for": "_for",
    "select": "_for",
    "do": "_do",
    "case": "_case",
    "{": "_brace",
    "fi": "_close",
    "done": "_close",
    "esac": "_close",
    "}": "_close",
    "function": "_function",
    "!": "_skip",
    "time": "_skip",
    "[[": "_test",
}


def _assignment(word: Word) -> Assignment | None:
    name, sign, _ = word.raw.partition("=")
    plain = name.removesuffix("+")
    if not sign or not plain.isidentifier() or not plain.isascii():
        return None
    at = len(name) + 1
    value = Word(raw=word.raw[at:], start=word.start + at, line=word.line)
    return Assignment(name=plain, value=value, line=word.line, start=word.start)
