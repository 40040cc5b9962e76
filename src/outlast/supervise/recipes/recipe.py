"""What a recipe says of an application. Reading one from a file is in `reading`."""

from __future__ import annotations

from dataclasses import dataclass, field

STOPS = ("signal", "file", "none")
PICKS = ("all", "newest")
OUTPUTS = ("itself", "cut", "apart")
UNITS = ("s", "min", "h", "h:m:s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Where something that the recipe says comes from.

    Args:
        says: the statement.
        source: the document that it was read in; empty where nobody looked it up.
        verified: whether somebody did, or saw the application do it.
    """

    says: str
    source: str = ""
    verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A value that the command or its input decides, by the first of these ways that gives one.

    Args:
        name: `{name}` stands for it elsewhere.
        options: options of the command whose argument it is.
        ending: the last argument of the command that ends so.
        stem: whether the value is that without its ending.
        file: a text file, in which `pattern` is looked for.
        pattern: a regular expression; its first group is the value.
        default: may name earlier variables: `{deffnm|md}` is `md` where `deffnm` is empty.
        needed: what to say where there is none; empty where that is no fault.
    """

    name: str
    options: tuple[str, ...] = ()
    ending: str = ""
    stem: bool = False
    file: str = ""
    pattern: str = ""
    default: str = ""
    needed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A way to ask the application for something.

    Args:
        how: one of STOPS.
        signal: its name, as TERM; it goes to each process of the application on this node.
        file: the path of the file that is made.
        content: what is in it.
        poll_s: how long the application may take to see it.
        statuses: exit statuses after which the state is whole.
    """

    how: str = "none"
    signal: str = ""
    file: str = ""
    content: str = ""
    poll_s: float = 0.0
    statuses: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A time limit that the application keeps by itself.

    Args:
        arguments: with `{limit}` in it.
        unit: one of UNITS.
        fraction: at which part of the limit the application begins to leave.
    """

    arguments: tuple[str, ...]
    unit: str = "s"
    fraction: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A file, or several, and what must stand in its last part."""

    file: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The files that make a checkpoint.

    Args:
        files: globs, each of which must match.
        optional: globs of what else belongs to it.
        excluded: globs of what matches those and is none.
        generation: a regular expression for paths with a group `generation`, and perhaps `rank`: files of one
            generation belong together, and the newest is taken in which every rank has the same files.
        pick: `newest` if only the newest of the files that match counts (two in turn).
        together: whether all are rewritten at each save: a mix of new and old ones is none.
        in_place: they are never copied (too many, or of use only where they are).
        while_running: whether a set that it wrote by itself is a checkpoint; else only what a requested stop left.
        quiet_s: how long they must have stood still while the application runs.
        steps: where the step stands in text, in each of which it must be the same; the first group.
        whole: what must stand at the end of a file that is whole.
    """

    files: tuple[str, ...]
    optional: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    generation: str = ""
    pick: str = "all"
    together: bool = True
    in_place: bool = False
    while_running: bool = True
    quiet_s: float = 2.0
    steps: tuple[Match, ...] = ()
    whole: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Files that grow over all attempts.

    Args:
        files: globs.
        how: `itself` (the application cuts them back, and checks), `cut` (we do), `apart` (each attempt has its own:
            what is there is renamed before the start).
    """

    files: tuple[str, ...] = ()
    how: str = "apart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of a text.

    Args:
        pattern: a regular expression, replaced where it is first found.
        replace: as in `re.sub`, with variables.
        unless: a regular expression: nothing is done where it is found.
        optional: whether it may find nothing.
    """

    pattern: str
    replace: str
    unless: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input file that a restart needs changed. The user's own is never written to.

    Args:
        file: its path.
        edits: in order.
        fixed: whether the application knows it by that name only: then the user's is put aside meanwhile.
    """

    file: str
    edits: tuple[Edit, ...] = ()
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file of the state that becomes the input. The user's own is kept beside it."""

    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """How to go on from a state.

    Args:
        arguments: added to the command.
        without_outputs: added besides where an output that the application would go on writing is not as it was.
        inputs: changed in a copy.
        places: files of the state that become inputs.
    """

    arguments: tuple[str, ...] = ()
    without_outputs: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How to know that nothing is left to do: all of these that are given hold.

    Args:
        file: a glob that matches something.
        log: a glob of files, in one of which `pattern` is found.
        pattern: a regular expression.
        output: a regular expression for a line of the standard output.
        unless_output: likewise, of one that says that it was stopped.
        status: whether the exit status says it (0, unless it was asked to stop).
    """

    file: str = ""
    log: str = ""
    pattern: str = ""
    output: str = ""
    unless_output: str = ""
    status: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What the user's input must say, since no argument can.

    Args:
        file: the input.
        pattern: a regular expression that is found there.
        says: what is missing otherwise, with the lines to add.
    """

    file: str
    pattern: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An application.

    Args:
        name: of the recipe.
        title: of the application.
        version: that the facts are about.
        tried: versions of the real application that this was run with; empty where none was.
        detect: names of its program in a command.
        subcommand: an argument that the command must have.
        lead_s: from the request to the end, as a first guess.
        ends_early: whether it leaves with 0 by itself before it is finished (a time limit of its own).
        same_ranks: whether it must be started again with as many ranks.
        clean: globs of files that end the next start, or hinder it.
        notes: for people.
    """

    name: str
    title: str
    detect: tuple[str, ...]
    state: State
    done: Done
    version: str = ""
    tried: str = ""
    subcommand: str = ""
    lead_s: float = 30.0
    ends_early: bool = False
    same_ranks: bool = False
    stop: Ask = Ask()
    save: Ask = Ask()
    limit: Limit | None = None
    variables: tuple[Variable, ...] = ()
    clean: tuple[str, ...] = ()
    outputs: Outputs = Outputs()
    resume: Resume = Resume()
    requires: tuple[Requirement, ...] = ()
    facts: tuple[Fact, ...] = field(default=())
    notes: tuple[str, ...] = ()
