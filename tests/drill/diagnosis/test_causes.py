"""From made traces to the cause: a case each, without any program."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drill.diagnosis.made import KINDS, REFERENCE, TEN, attempt, found, leaves, outcome, step, trace
from outlast.drill.diagnosis import CAUSES, Ended, Finding, Outcome, conclude, diagnose, noisy
from outlast.drill.trace import FileOp, Handler, Held, Load, Look, Moved, Restored, Save, Step, printed

SAVED = Save(path="/w/state.npz", how="numpy.savez", leaves=leaves(3))
LOADED = Load(path="/w/state.npz", how="numpy.load", leaves=leaves(3))
KILLED = attempt("1", *map(step, (1, 2, 3)), SAVED, step(4), step(5), ended=False)


def later(*events: object, loaded: Load = LOADED):
    return attempt("2", loaded, *events)


def test_what_goes_on_as_it_should_has_no_finding():
    good = outcome(KILLED, later(*map(step, range(4, 11))), differing=())
    assert diagnose(REFERENCE, good) is None


RESUMED = [
    ("data", {"idx": "#i1"}, "order-replayed", "idx", "the order of the data differs from step 4 on"),
    ("epoch", {"idx": "#i2"}, "epoch-restarted", "idx", "the samples of step 2 come again"),
    ("ahead", {"idx": "#i6"}, "batches-lost", "idx", "those of step 6 come already"),
    ("anew", {"idx": "#new"}, "order-of-data", "idx", "the loader is not in the state"),
    (
        "drawn",
        {"idx": "#new", "rng_torch": "#new"},
        "rng-not-restored",
        "rng:torch",
        "torch's CPU RNG was not restored",
    ),
    ("rng", {"rng_torch": "#new", "w": "#new"}, "rng-not-restored", "rng:torch", "torch's CPU RNG was not restored"),
    ("own", {"rng": "#r1", "w": "#new"}, "rng-not-restored", "rng", "the generator rng was not restored"),
    ("moved", {"rng": "#r9", "w": "#new"}, "rng-moved-on", "rng", "moved on before step 4"),
    ("moment", {"v": "#new", "w": "#new"}, "optimizer-missing", "v", "optimizer momentum is missing from step 4 on"),
    ("lr", {"lr": "0.1000", "w": "#new"}, "schedule-restarted", "lr", "the learning-rate schedule started again"),
    ("lr off", {"lr": "0.0333", "w": "#new"}, "schedule-shifted", "lr", "a step off: 0.0333 instead of 0.0250"),
    ("scaler", {"scaler_scale": "2.0", "w": "#new"}, "scaler-missing", "scaler/scale", "its scale began anew"),
    (
        "best",
        {"best": "inf", "said:loss": "9"},
        "best-forgotten",
        "best",
        "best is inf instead of 0.25",
    ),
    ("unknown", {"w": "#new"}, "differs", "w", "from step 4 on w differs"),
]


@pytest.mark.parametrize(("_", "other", "cause", "leaf", "text"), RESUMED, ids=[row[0] for row in RESUMED])
def test_the_first_step_that_differs_names_what_was_missing(_, other, cause, leaf, text):
    after = [step(4, **other), *[step(number, w="#later") for number in range(5, 11)]]
    finding = found(KILLED, later(*after))
    assert (finding.cause, finding.step, finding.leaf) == (cause, 4, leaf)
    assert text in finding.text
    assert finding.advice == CAUSES[cause]


def test_a_leaf_that_was_not_saved_is_named():
    partly = {path: text for path, text in leaves(3).items() if path != "field"}
    load = Load(path="/w/s", how="pickle.load", leaves=partly)
    finding = found(KILLED, later(step(4, field="#new", w="#new"), loaded=load))
    assert (finding.cause, finding.leaf) == ("leaf-missing", "field")
    assert finding.text == "what changes as the program runs is not all in the checkpoint: field is lacking"


def test_a_list_outside_of_the_state_is_lacking_though_its_first_row_never_changes():
    def beside(number: int, value: str) -> Step:
        plain = step(number)
        return replace(plain, leaves={**plain.leaves, "outside:rows/0": value})

    kinds = {**KINDS, "outside:rows/0": "number"}
    reference = trace(attempt("1", *[beside(number, "1.5") for number in TEN]), kinds=kinds)
    after = attempt("2", *[beside(number, "2.5") for number in range(4, 11)])
    finding = found(attempt("1", *map(step, (1, 2, 3)), ended=False), after, reference=reference)
    assert (finding.cause, finding.leaf) == ("leaf-missing", "outside:rows/0")
    assert finding.text.endswith("rows/0 is lacking")


def test_a_variable_that_is_called_as_what_the_state_holds_was_given_another_object():
    def beside(number: int, value: str) -> Step:
        return replace(step(number), leaves={**step(number).leaves, "field": "#zero", "outside:field": value})

    kinds = {**KINDS, "outside:field": "array"}
    reference = trace(attempt("1", *[beside(number, f"#o{number}") for number in TEN]), kinds=kinds)
    after = attempt("2", *[beside(number, f"#x{number}") for number in range(4, 11)])
    finding = found(attempt("1", *map(step, (1, 2, 3)), ended=False), after, reference=reference)
    assert (finding.cause, finding.leaf) == ("rebound", "outside:field")
    assert finding.text.startswith("the variable field is no longer what the state holds as field: ")


@pytest.mark.parametrize(
    ("other", "cause", "leaf"),
    [({"field": "#new"}, "leaf-inexact", "field"), ({"field": "#new", "w": "#new"}, "leaf-missing", "w")],
)
def test_a_leaf_that_was_saved_but_rounded_is_not_called_missing(other, cause, leaf):
    rounded = {path: text for path, text in leaves(3, field="#rounded").items() if path != "w"}
    load = Load(path="/w/s", how="pickle.load", leaves=rounded)
    finding = found(KILLED, later(step(4, **other), loaded=load))
    assert (finding.cause, finding.leaf) == (cause, leaf)


def test_a_damaged_file_is_not_called_one_that_the_loader_refuses():
    load = Load(path="/w/s.npz", how="numpy.load", error="BadZipFile: File is not a zip file")
    said = "    z = np.load('s.npz', allow_pickle=False)\nzipfile.BadZipFile: File is not a zip file"
    ends = (Ended(status=137, wounded=True), Ended(status=1, said=said))
    first = attempt("1", *map(step, (1, 2, 3)), op("rename", "/w/new.npz", to="/w/s.npz"), ended=False)
    broken = Outcome(wound="damage", attempts=ends, trace=trace(first, attempt("2", load)), done=False)
    finding = diagnose(REFERENCE, broken)
    assert finding is not None
    assert finding.cause == "no-fallback"


def test_a_generator_that_was_given_and_then_drawn_from_has_moved_on():
    given = Moved(name="rng:torch", kind="rng", way="given")
    finding = found(KILLED, attempt("2", LOADED, given, step(4, rng_torch="#new", w="#new")))
    assert finding.cause == "rng-moved-on"


def test_batches_of_a_loader_count_as_data():
    reference = trace(attempt("1", *[step(n, batches=[f"#b{n}"]) for n in TEN]))
    after = [step(4, batches=["#b1"], w="#new"), step(5, batches=["#b2"], w="#new")]
    finding = found(KILLED, later(*after), reference=reference)
    assert (finding.cause, finding.leaf) == ("order-replayed", None)


def test_a_generator_that_nothing_depends_on_is_no_fault():
    after = [step(number, rng_torch="#other") for number in range(4, 11)]
    assert diagnose(REFERENCE, outcome(KILLED, later(*after), differing=())) is None


def test_a_list_that_only_one_attempt_fills_is_no_fault_where_the_end_is_the_same():
    after = [step(number, field="#shorter", best="inf") for number in range(4, 11)]
    assert diagnose(REFERENCE, outcome(KILLED, later(*after), differing=())) is None
    assert found(KILLED, later(*after)).leaf == "field"


def test_a_generator_that_is_never_drawn_from_says_nothing():
    after = [step(number, rng_python="#unseeded", w="#new") for number in range(4, 11)]
    assert found(KILLED, later(*after)).leaf == "w"


def test_a_step_done_twice_is_told_from_one_that_was_skipped():
    twice = found(KILLED, later(*[step(n, w="#x") for n in range(3, 11)]))
    assert (twice.cause, twice.step) == ("step-twice", 3)
    assert twice.text == "step 3 was done twice: the program resumes at the saved step, not after it"
    skipped = found(KILLED, later(*[step(n, w="#x") for n in range(5, 11)]))
    assert (skipped.cause, skipped.step) == ("step-skipped", 4)
    assert skipped.text == "step 4 was skipped: the state is that after step 3, and the program goes on at 5"


def test_parts_of_different_steps_are_mixed_or_come_from_several_files():
    mixed = found(KILLED, later(step(4, w="#x"), loaded=Load(path="/w/a", how="h", leaves={"w": "#w3", "v": "#v5"})))
    assert mixed.cause == "mixed-steps"
    assert "a:w of step 3, a:v of step 5" in mixed.text
    two = [Load(path="/w/w.npy", how="h", leaves={"": "#w3"}), Load(path="/w/v.npy", how="h", leaves={"": "#v2"})]
    finding = found(KILLED, attempt("2", *two, step(4, w="#x")))
    assert finding.cause == "several-files"
    assert "v.npy, w.npy are of different steps" in finding.text
    best = [Load(path="/w/best.npy", how="h", leaves={"": "#w1"}), Load(path="/w/v.npy", how="h", leaves={"": "#v3"})]
    assert found(KILLED, attempt("2", *best, step(4, w="#x"))).cause == "best-not-last"


def test_an_older_checkpoint_than_the_newest_is_told_but_not_where_it_is_a_fallback():
    saves = [Save(path=f"/w/{n}.npz", how="h", leaves=leaves(n)) for n in (2, 4)]
    killed = attempt("1", step(1), step(2), saves[0], step(3), step(4), saves[1], step(5), SAVED, ended=False)
    old = Load(path="/w/2.npz", how="h", leaves=leaves(2))
    after = [step(n, w="#x") for n in range(3, 11)]
    assert found(killed, later(*after, loaded=old)).cause == "other-checkpoint"
    assert found(killed, later(*after, loaded=old), wound="damage").cause == "differs"


def op(name: str, path: str, to: str = "", *, was: bool = False) -> FileOp:
    return FileOp(op=name, path=path, to=to, was=was)


FAILED = {"statuses": (137, 1, 1), "done": False, "differing": ()}
ERROR = Load(path="/w/state.npz", how="numpy.load", error="BadZipFile: not a zip file")
CRASHES = [
    ("in place", [op("write", "/w/state.npz", was=True)], ERROR, "kill-in-save", "overwritten-in-place"),
    ("damaged", [op("write", "/w/n"), op("rename", "/w/n", "/w/state.npz")], ERROR, "damage", "no-fallback"),
    (
        "window",
        [op("rename", "/w/n", "/w/state.npz"), op("remove", "/w/state.npz")],
        Look(path="/w/state.npz", found=False),
        "kill-in-save",
        "removed-before-renamed",
    ),
    (
        "gone",
        [op("remove", "/w/state.npz")],
        Look(path="/w/state.npz", found=False),
        "kill-in-save",
        "removed-too-early",
    ),
    (
        "unfinished",
        [op("mkdir", "/w/9"), op("write", "/w/9/a")],
        Load(path="/w/9/b", how="h", error="FileNotFoundError"),
        "kill-in-save",
        "unfinished-chosen",
    ),
    ("other", [], ERROR, "kill", "fails-on-restart"),
]


@pytest.mark.parametrize(("_", "ops", "event", "wound", "cause"), CRASHES, ids=[row[0] for row in CRASHES])
def test_a_second_start_that_fails_names_the_file_and_how_it_was_written(_, ops, event, wound, cause):
    first = attempt("1", step(1), SAVED, *ops, step(2), ended=False)
    finding = found(first, attempt("2", event), attempt("3", event), wound=wound, **FAILED)
    assert finding.cause == cause


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("FileExistsError: [Errno 17] File exists: 'state.tmp'", "stale-temporary"),
        ("_pickle.UnpicklingError: Weights only load failed. weights_only", "refused-by-loader"),
        ("ValueError: Object arrays cannot be loaded when allow_pickle=False", "refused-by-loader"),
        ("KeyError: 'step'", "fails-on-restart"),
        ("", "fails-on-restart"),
    ],
)
def test_what_a_failing_start_says_tells_the_cause(said, cause):
    finding = found(KILLED, attempt("2"), attempt("3"), said=said, **FAILED | {"statuses": (137, 1)})
    assert finding.cause == cause
    assert said.partition(":")[0] in finding.text


ANEW = [*map(step, TEN)]


@pytest.mark.parametrize(
    ("events", "wound", "cause", "text"),
    [
        ([Look(path="/w/other", found=False)], "kill", "other-name", "it looks for other, but writes state.npz"),
        ([], "kill", "never-looks", "does not look for a checkpoint"),
        ([ERROR], "kill", "error-swallowed", "loading state.npz failed (BadZipFile"),
        ([ERROR], "kill-in-save", "torn-then-afresh", "state.npz was torn"),
        ([LOADED], "kill", "not-read-back", "state.npz is loaded, but"),
        ([Look(path="/w/state.npz", found=False)], "kill", "removed-too-early", "is removed before"),
    ],
)
def test_a_start_from_the_beginning_is_never_silent(events, wound, cause, text):
    finding = found(KILLED, attempt("2", *events, *ANEW), wound=wound, differing=())
    assert finding.cause == cause
    assert finding.text.startswith("nothing was restored: ")
    assert text in finding.text


def test_a_start_from_the_beginning_is_no_fault_before_the_first_save():
    reference = trace(attempt("1", *map(step, range(1, 6)), SAVED, *map(step, range(6, 11))))
    early = attempt("1", step(1), step(2), ended=False)
    assert diagnose(reference, outcome(early, attempt("2", *ANEW), differing=())) is None
    assert diagnose(REFERENCE, outcome(early, attempt("2", *ANEW), differing=())).cause == "never-saves"
    at_once = attempt("1", op("append", "/w/rows.csv"), ended=False)
    assert diagnose(REFERENCE, outcome(at_once, attempt("2", *ANEW), differing=())) is None


def test_a_file_that_is_written_between_steps_may_be_a_save():
    write = op("write", "/w/state.txt")
    reference = trace(attempt("1", *map(step, range(1, 6)), write, *map(step, range(6, 11))))
    early = attempt("1", step(1), step(2), ended=False)
    assert diagnose(reference, outcome(early, attempt("2", *ANEW), differing=())) is None
    late = attempt("1", *map(step, range(1, 6)), write, step(6), ended=False)
    assert diagnose(reference, outcome(late, attempt("2", *ANEW), differing=())).cause == "never-saves"


def test_of_a_program_without_a_recorder_no_save_is_missed():
    texts = ["".join(f"step {n} x={n * n}\n" for n in range(low, 6)) for low in (1, 1)]
    reference, wounded = printed(texts[:1]), printed(["step 1 x=1\nstep 2 x=4\n", texts[1]])
    ends = (Ended(status=137, wounded=True), Ended(status=0))
    assert diagnose(reference, Outcome(wound="kill", attempts=ends, trace=wounded)) is None


R_CASES = [
    ('RNGkind(normal.kind = "Box-Muller")', "r", "box-muller"),
    ("x <- runif(3); saveRDS(x, 'x.rds')", "r", "generator-not-saved"),
    ("x <- runif(3); saveRDS(.Random.seed, 'x.rds')", "r", "differs"),
    ("# runif(3)\nx <- 1", "r", "differs"),
    ("x = rand(3); save('s.mat')", "m", "generator-not-saved"),
    ("g = rand('twister'); x = rand(3); save('s.mat')", "m", "differs"),
    ("x = rand(3)", "", "differs"),
]


@pytest.mark.parametrize(("script", "language", "cause"), R_CASES)
def test_the_text_of_a_program_without_a_recorder_tells_what_is_likely(script, language, cause):
    whole = "".join(f"step {n} x={n * n}\n" for n in range(1, 6))
    reference, wounded = printed([whole]), printed(["step 1 x=1\nstep 2 x=4\n", "step 3 x=10\nstep 4 x=17\n"])
    ends = (Ended(status=137, wounded=True), Ended(status=0))
    about = {"script": script, "language": language, "differing": ("result.txt",)}
    finding = diagnose(reference, Outcome(wound="kill", attempts=ends, trace=wounded, **about))
    assert finding is not None
    assert (finding.cause, finding.step) == (cause, 3)


def test_a_script_that_cannot_read_what_it_wrote_has_overwritten_it():
    ends = (Ended(status=137, wounded=True), Ended(status=1, said="Error in readRDS: unknown input format"))
    text = "s <- readRDS('s.rds'); saveRDS(s, 's.rds')"
    about = {"script": text, "language": "r", "done": False}
    finding = diagnose(printed(["step 1\n"]), Outcome(wound="kill-in-save", attempts=ends, **about))
    assert finding is not None
    assert finding.cause == "overwritten-in-place"
    renamed = about | {"script": f"{text}; file.rename('a', 'b')"}
    finding = diagnose(printed(["step 1\n"]), Outcome(wound="kill-in-save", attempts=ends, **renamed))
    assert finding is not None
    assert finding.cause == "fails-on-restart"


def test_output_that_is_found_and_passed_over_is_no_start_from_the_beginning():
    looks = [Look(path="/w/state.npz", found=True)]
    assert diagnose(REFERENCE, outcome(KILLED, attempt("2", *looks, *ANEW), differing=())) is None
    late = attempt("2", *ANEW, *looks)
    assert found(KILLED, late, differing=()).cause == "never-looks"


def test_torn_output_that_counts_as_done():
    first = attempt("1", step(1), op("write", "/w/out_2.npy"), ended=False)
    finding = found(first, attempt("2", *ANEW), wound="kill-in-save", differing=("out_2.npy",))
    assert finding.cause == "output-taken-for-done"


TERM = Handler(signal=15, name="hear")
NOTICES = [
    ([TERM, step(1), Save(path="s", how="h", in_handler=True)], 85, "", "saves-in-handler"),
    ([TERM, step(1), step(2)], 137, "", "notice-ignored"),
    ([TERM, step(1), op("write", "/w/s.xz")], 137, "", "save-too-slow"),
    ([TERM, step(1)], 1, "RuntimeError: DataLoader worker (pid 7) is killed by signal: Terminated.", "workers-die"),
    ([TERM, step(1)], 1, 'File "multiprocessing/connection.py"\nConnectionResetError', "workers-die"),
]


@pytest.mark.parametrize(("events", "status", "said", "cause"), NOTICES)
@pytest.mark.parametrize("wound", ["notice", "notice-group", "deadline"])
def test_what_is_wrong_after_a_notice(events, status, said, cause, wound):
    ends = (Ended(status=status, said=said, wounded=True), Ended(status=0))
    traces = trace(attempt("1", *events, ended=False), attempt("2", *ANEW))
    finding = diagnose(REFERENCE, Outcome(wound=wound, attempts=ends, trace=traces))
    assert finding is not None
    assert finding.cause == cause


def test_a_notice_that_is_heeded_is_no_fault():
    first = attempt("1", TERM, *map(step, (1, 2, 3)), SAVED, ended=False)
    good = outcome(first, later(*map(step, range(4, 11))), wound="notice", statuses=(85, 0), differing=())
    assert diagnose(REFERENCE, good) is None


@pytest.mark.parametrize(
    ("about", "cause"),
    [
        ({"wound": "second-copy"}, "two-writers"),
        ({"wound": "full-disk"}, "disk-full-unnoticed"),
        ({"differing": ("rows.csv",)}, "rows-twice"),
        ({"differing": ("other",)}, "differs"),
        ({"done": False, "differing": ()}, "not-recovered"),
    ],
)
def test_an_end_that_differs_though_no_step_does(about, cause):
    first = attempt("1", *map(step, (1, 2, 3)), SAVED, op("append", "/w/rows.csv"), step(4), step(5), ended=False)
    assert found(first, later(*map(step, range(4, 11))), **about).cause == cause


def test_an_error_that_only_a_thread_has_seen():
    ends = (Ended(status=0, said="Exception in thread Thread-1 (write):\nOSError", wounded=True),)
    whole = Outcome(wound="full-disk", attempts=ends, trace=trace(attempt("1", *ANEW)))
    finding = diagnose(REFERENCE, whole)
    assert finding is not None
    assert finding.cause == "background-error"


def test_done_before_the_result_is_there():
    assert found(attempt("1", *ANEW), attempt("2")).cause == "result-before-durable"


def test_a_run_that_was_done_does_no_step_again():
    again = outcome(attempt("1", *ANEW), attempt("2", step(11)), wound="after-done", statuses=(0, 0), differing=())
    finding = diagnose(REFERENCE, again)
    assert finding is not None
    assert (finding.cause, finding.step) == ("no-done-marker", 11)
    good = outcome(attempt("1", *ANEW), attempt("2"), wound="after-done", statuses=(0, 0), differing=())
    assert diagnose(REFERENCE, good) is None


@pytest.mark.parametrize(
    ("steps", "differing", "cause"),
    [((9, 10), (), None), ((9, 10), ("rows.csv",), "no-done-marker"), (TEN, (), "no-done-marker")],
)
def test_after_it_was_done_the_steps_since_the_last_save_may_be_done_once_more(steps, differing, cause):
    again = attempt("2", *map(step, steps))
    whole = outcome(attempt("1", *ANEW), again, wound="after-done", statuses=(0, 0), differing=differing)
    finding = diagnose(REFERENCE, whole)
    assert (finding and finding.cause) == cause


def test_updates_are_numbered_by_the_weights_that_they_begin_with():
    def updates(numbers, before, **other):
        steps = [
            Step(step=place, by="optimizer", leaves=leaves(n, **other), before=before if place == 1 else {})
            for place, n in enumerate(numbers, 1)
        ]
        return attempt("x", *steps)

    reference = trace(updates(TEN, {"w": "#w0"}))
    first = updates((1, 2, 3, 4), {"w": "#w0"})
    good = outcome(first, updates(range(4, 11), {"w": "#w3"}), differing=())
    assert diagnose(reference, good) is None
    finding = diagnose(reference, outcome(first, updates(range(4, 11), {"w": "#w3"}, v="#x", w="#y")))
    assert finding is not None
    assert (finding.cause, finding.step) == ("optimizer-missing", 4)
    strange = diagnose(reference, outcome(first, updates(range(1, 8), {"w": "#strange"}, idx="#i1")))
    assert strange is not None
    assert strange.cause == "differs"  # its updates cannot be placed: nothing is said of single ones
    anew = diagnose(reference, outcome(attempt("1", SAVED, *first.events), updates(TEN, {"w": "#w0"}), differing=()))
    assert anew is not None
    assert anew.cause == "never-looks"


def test_a_run_of_outlast_is_placed_by_what_it_restored():
    reference = trace(attempt("1", *[step(n, by="run") for n in TEN]))
    again = attempt("2", Restored(step=3), *[step(n, by="run", field="#x") for n in range(4, 11)])
    finding = diagnose(reference, outcome(attempt("1", step(1, by="run")), again))
    assert finding is not None
    assert (finding.step, finding.leaf) == (4, "field")


def test_a_generator_that_is_known_to_lie_outside_of_the_state_is_said_to():
    reference = trace(attempt("1", *[step(n, by="run", rng_torch=f"#t{n}") for n in TEN]))
    held = [Held(name="rng", kind="rng", in_state=False), Held(name="the global generators", kind="rng", in_state=True)]
    for other, text in (
        ({"rng": "#r1"}, "the generator rng was not restored: it is not in the state"),
        ({"rng_torch": "#x"}, "torch's CPU RNG was not restored"),
    ):
        again = attempt("2", Restored(step=3), *held, *[step(n, by="run", w="#x", **other) for n in range(4, 11)])
        finding = diagnose(reference, outcome(attempt("1", step(1, by="run")), again))
        assert finding is not None
        assert finding.text == text


def test_two_undisturbed_runs_that_differ_are_not_deterministic():
    other = trace(attempt("1", *[step(n, w=f"#z{n}" if n > 2 else f"#w{n}") for n in TEN]))
    ends = (Ended(status=0),)
    finding = diagnose(REFERENCE, Outcome(wound="none", attempts=ends, trace=other, differing=("result.txt",)))
    assert finding is not None
    assert (finding.cause, finding.step, finding.leaf) == ("not-deterministic", 3, "w")
    same = Outcome(wound="none", attempts=ends, trace=REFERENCE)
    assert diagnose(REFERENCE, same) is None


def test_what_differs_between_undisturbed_runs_is_noise():
    other = trace(attempt("1", *[step(n, w=f"#{n}.5") for n in TEN]))
    noise = noisy(REFERENCE, other)
    assert noise == {"w"}
    wounded = outcome(KILLED, later(*[step(n, w="#x") for n in range(4, 11)]), differing=())
    assert diagnose(REFERENCE, wounded, noise) is None
    assert diagnose(REFERENCE, wounded) is not None


def test_all_findings_together():
    vague = Finding(cause="differs", text="x differs", advice="")
    sure = Finding(cause="rng-not-restored", text="r", advice="")
    assert conclude({"kill": None, "notice": None}) is None
    assert conclude({"kill": vague, "notice": sure}) is sure
    assert conclude({"kill": vague, "notice": vague}) is vague
    only_kill = conclude({"kill": vague, "kill-in-save": None, "notice": None})
    assert only_kill is not None
    assert only_kill.cause == "only-with-kill"
    assert only_kill.text.startswith("it differs only with SIGKILL: the only copy is overwritten in place")
    assert conclude({"none": sure, "kill": vague}) is sure
    done = Finding(cause="no-done-marker", text="d", advice="")
    assert conclude({"kill": vague, "after-done": done}) is vague  # what comes of it after a kill weighs more
    assert conclude({"kill": sure, "after-done": done}) is sure
    assert conclude({"kill": None, "after-done": done}) is done
    assert conclude({"kill": vague, "after-done": None}) is vague  # that says nothing of other ends than a kill
    assert conclude({"kill": vague}) is vague
