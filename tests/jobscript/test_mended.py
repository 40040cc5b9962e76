"""What --fix writes, word for word."""

import pytest

from outlast.jobscript.catalogue import check, mended

SLURM = "#!/bin/bash\n#SBATCH --time=1:00:00\n#SBATCH --requeue\n#SBATCH --open-mode=append\n"
COUNT = "${SLURM_RESTART_COUNT:-0}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[ $SLURM_RESTART_COUNT -gt 0 ] && x", f'[ "{COUNT}" -gt 0 ] && x'),
        ('[ "${SLURM_RESTART_COUNT}" -eq 0 ] && x', f'[ "{COUNT}" -eq 0 ] && x'),
        ("n=$SLURM_RESTART_COUNT\ntest $n -lt 3 && x", 'n=$SLURM_RESTART_COUNT\ntest "${n:-0}" -lt 3 && x'),
        ("set -u\necho $SLURM_RESTART_COUNT", f"set -u\necho {COUNT}"),
        ('set -o nounset\nn="a ${SLURM_RESTART_COUNT} b"', f'set -o nounset\nn="a {COUNT} b"'),
        ("[[ $(restart_count) > 0 ]] && x", "[[ $(restart_count) -gt 0 ]] && x"),
        ("[[ 3 < $restarts ]] && x", "[[ 3 -lt $restarts ]] && x"),
        ('[ "$restarts" \\< 3 ] && x', '[ "$restarts" -lt 3 ] && x'),
        ('[ "$restarts" > 0 ] && x', '[ "$restarts" -gt 0 ] && x'),
        ('[ "$restarts" >0 ] && x', '[ "$restarts" -gt 0 ] && x'),
        ("[[ $SLURM_RESTART_COUNT == 0 ]] && x", f'[[ "{COUNT}" -eq 0 ]] && x'),
        ('[ "$SLURM_RESTART_COUNT" != 0 ] && x', f'[ "{COUNT}" -ne 0 ] && x'),
        ("[ -z $SLURM_RESTART_COUNT ] && x", f'[ "{COUNT}" -eq 0 ] && x'),
        ('[ ! -n "$SLURM_RESTART_COUNT" ] && x', f'[ ! "{COUNT}" -gt 0 ] && x'),
        ("[[ -v SLURM_RESTART_COUNT ]] && x", f'[[ "{COUNT}" -gt 0 ]] && x'),
        ('[ "$SLURM_RESTART_COUNT" ] && x', f'[ "{COUNT}" -gt 0 ] && x'),
        ('test "$SLURM_RESTART_COUNT" = "" && x', f'test "{COUNT}" -eq 0 && x'),
        ('test "$SLURM_RESTART_COUNT" != "" && x', f'test "{COUNT}" -gt 0 && x'),
        ("ls -Art ckpt* | head -1", "ls -At ckpt* | head -1"),
        ("ls -rt ckpt* | head -1", "ls -t ckpt* | head -1"),
        ("ls -r -t ckpt* | head -n 1", "ls -t -t ckpt* | head -n 1"),
        ("ls -t ckpt* | tail -n1", "ls -t ckpt* | head -n1"),
        ("ls ckpt* | tail -n1", "ls -v ckpt* | tail -n1"),
        ("ls ckpt* | sort | tail -n1", "ls ckpt* | sort -V | tail -n1"),
        ("ls ckpt* | sort -r | head -n1", "ls ckpt* | sort -V -r | head -n1"),
    ],
)
def test_commands(before, after):
    assert mended(f"{SLURM}{before}\n") == f"{SLURM}{after}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("SBATCH --mem=1G\nsrun x\n", "#SBATCH --mem=1G\nsrun x\n"),
        ("#SBTACH -n 4\nsrun x\n", "#SBATCH -n 4\nsrun x\n"),
        ("  #SBATCH -n 4\nsrun x\n", "#SBATCH -n 4\nsrun x\n"),
        (
            "#SBATCH -p big_risk\nsrun x\n",
            "#SBATCH -p big_risk\n#SBATCH --requeue\n#SBATCH --open-mode=append\nsrun x\n",
        ),
        ("#SBATCH --signal=USR1@90\nexec python x\n", "#SBATCH --signal=B:USR1@90\nexec python x\n"),
        ("#SBATCH --signal USR1@90\nexec python x\n", "#SBATCH --signal B:USR1@90\nexec python x\n"),
        (
            "#SBATCH --signal=B:TERM@90\nA=1 outlast run -- x\n",
            "#SBATCH --signal=B:TERM@90\nA=1 exec outlast run -- x\n",
        ),
    ],
)
def test_directives(before, after):
    assert mended(f"#!/bin/bash\n{before}") == f"#!/bin/bash\n{after}"


@pytest.mark.parametrize(
    "text",
    [
        "#SBATCH --signal=R:USR1@90\nexec python x\n",
        "#SBATCH --signal=US\\R1@90\nexec python x\n",
        "#SBATCH --signal=USR1@90\npython x\n",
        "#SBATCH --signal=B:USR1@90\npython x\n",
        "#SBATCH --signal=B:USR1@90\noutlast run -- x\necho end\n",
        "#SBATCH --signal=B:USR1@90\na && outlast run -- x\n",
        "#SBATCH --signal=B:USR1@90\noutlast run -- x &\n",
        "#SBATCH --signal=B:USR1@90\nf() { outlast run -- x; }\n",
        "#SBATCH --signal=B:USR1@90\ntrap 'rm y' EXIT\noutlast run -- x\n",
    ],
)
def test_what_is_left_to_a_person(text):
    """It is found, and not safe to mend: without a trap `B:` would end the shell, and `exec` what stands around it."""
    text = f"#!/bin/bash\n{text}"
    assert check(text).findings != ()
    assert mended(text) == text


def test_exec_in_front_of_words_with_commands():
    text = "#!/bin/bash\n#SBATCH --signal=B:USR1@90\noutlast run -- x $(hostname)\n"
    assert mended(text) == text.replace("outlast", "exec outlast")


ARRAY = (
    "#!/bin/bash\n#SBATCH -a 1-9\n#SBATCH --requeue --open-mode=append\n"
    "n=${SLURM_RESTART_COUNT:-0}\n[ $n -lt 9 ] || exit\n"
)
TASK = "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('scontrol requeue "$SLURM_JOB_ID"', f'scontrol requeue "{TASK}"'),
        ("scontrol requeue ${SLURM_ARRAY_JOB_ID}", f"scontrol requeue {TASK}"),
        ("id=$SLURM_JOBID; scontrol requeue $id", f"id=$SLURM_JOBID; scontrol requeue {TASK}"),
        ("trap 'wait; scontrol requeue $SLURM_JOB_ID' USR1", f"trap 'wait; scontrol requeue {TASK}' USR1"),
        ('trap "wait; scontrol requeue $SLURM_JOB_ID" USR1', f'trap "wait; scontrol requeue {TASK}" USR1'),
    ],
)
def test_requeue_of_a_task(before, after):
    assert mended(f"{ARRAY}{before}\n") == f"{ARRAY}{after}\n"


@pytest.mark.parametrize(
    "body",
    [
        "[[ $SLURM_RESTART_COUNT -gt 0 ]] && x",
        '[ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && x',
        "[[ $folds > 3 ]] && x",
        '[ "$folds" \\> 3 ] && x',
        '[ "$folds" > 3 ] && x',
        '[ "$restarts" > log ] && x',
        "[[ $state == restarted ]] && x",
        '[[ "${SLURM_RESTART_COUNT:-0}" == 0 ]] && x',
        '[[ "$n" == 0 ]] && x',
        '[ -n "$SLURM_JOB_ID" ] && x',
        '[ -n "${SLURM_RESTART_COUNT:-0}" ] && x',
        '[ -n "$SLURM_RESTART_COUNT" ] && [ "$SLURM_RESTART_COUNT" -gt 0 ]',
        "set -e; echo $SLURM_RESTART_COUNT",
        "set -u; echo ${SLURM_RESTART_COUNT:-0} '$SLURM_RESTART_COUNT' $SLURM_RESTART_COUNTER",
        "echo '${SLURM_RESTART_COUNT:+x}' ${SLURM_RESTART_COUNT:-1}",
        "echo $SLURM_RESTART_COUNT -gt 0",
    ],
)
def test_a_count_that_is_looked_at_rightly(body):
    text = f"{SLURM}{body}\n"
    assert check(text).findings == ()
    assert mended(text) == text


def test_every_one_of_many():
    text = SLURM + "[ $SLURM_RESTART_COUNT -gt 0 ] && x\n" * 50
    assert mended(text) == SLURM + f'[ "{COUNT}" -gt 0 ] && x\n' * 50


def test_nothing_is_mended_below_what_was_not_understood():
    test = "[ $SLURM_RESTART_COUNT -gt 0 ] && x\n"
    text = f"{SLURM}{test}fi\n{test}"
    assert check(text).troubles == (6,)
    assert mended(text) == f'{SLURM}[ "{COUNT}" -gt 0 ] && x\nfi\n{test}'


def test_what_is_no_utf8_and_the_ends_of_lines_stay():
    text = b"#!/bin/bash\r\n#SBATCH --requeue\r\n# \xff\xfe\xe4\r\nsrun x\r\n".decode("utf-8", "surrogateescape")
    expected = text.replace("--requeue\r\n", "--requeue\r\n#SBATCH --open-mode=append\r\n")
    assert mended(text) == expected
