"""What a rule takes for a mistake, and what it leaves alone: form by form, beyond the examples."""

import pytest

from outlast.jobscript.catalogue import RULES, check
from outlast.jobscript.notice import time_limit_s
from outlast.jobscript.script import parse

WAIT = 'while kill -0 "$p"; do wait "$p"; done\n'


def lines(rule, text, name="job.sh"):
    """The lines at which one rule finds something."""
    return [one.line for one in check(text, name).findings if one.rule.id == rule]


def job(*directives, body=""):
    """A script whose first directive is line 2."""
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {one}" for one in directives), body])


FOUND = [
    # rule, directives, body, line
    ("J1", ["--signal=USR1@90"], "trap 'kill $p' USR1\npython x &", 2),
    ("J1", ["--signal=R:USR1@90"], "python x", 2),
    ("J1", ["--signal=TERM"], "exec python x", 2),
    ("J1", ["--signal=USR1@90"], "# srun would do\npython x", 2),
    ("J1", ["--signal=B:USR1@90", "--signal=USR1@90"], "python x", 3),
    ("J1", ["--signal=USR1@90"], "for i in 1 2; do python x; done", 2),
    ("J2", ["--signal=B:USR1@90"], "srun python x", 2),
    ("J2", ["--signal=RB:10@90"], "python x &\nwait", 2),
    ("J2", ["--signal=B:USR1@90"], "trap f TERM\npython x &\nwait", 2),
    ("J2", ["--signal=B:USR1@90"], "trap - USR1\npython x &\nwait", 2),
    ("J2", ["--signal=B:USR1@90"], "source ~/.bashrc\npython x", 2),
    ("J2", ["--signal=B:USR1@90"], "kill -s USR1 $p; echo USR1; python x", 2),
    ("J2", ["--signal=B:USR1@90"], "echo begin\noutlast run -- python x\necho end", 2),
    ("J2", ["--signal=B:USR1@90"], "trap -p USR1\npython x &\nwait", 2),
    ("J2", ["--signal=B:USR1@90"], "trap USR1\ntrap\npython x", 2),
    ("J3", ["--signal=B:USR1@90"], "trap 'touch stop' USR1\nsrun python x", 4),
    ("J3", [], "trap -- 'touch stop' USR1\n./x", 3),
    ("J3", [], "trap 'touch stop' SIGUSR2\n./x", 3),
    ("J3", ["--signal=B:TERM@90"], "trap 'touch stop' 15\n./x", 4),
    ("J3", ["--signal=B:USR1@90"], "trap 'touch stop' USR1\ncd y; make x; ./a; ./b", 4),
    ("J3", ["--signal=B:USR1@90"], "trap 'touch stop' USR1\noutlast run -- ./a", 4),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill -USR1 $p' USR1\n./x &\np=$!\nwait $p\necho done", 6),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill -USR1 $p' USR1\nfor i in 1 2; do ./x & done\nwait", 5),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p; exit 0' USR1\n./x &\nwait; wait", 3),
    ("J4", ["--signal=B:USR1@90"], "f() { kill $p; g; }\ng() { exit 1; }\ntrap f USR1\n./x &\nwait; wait", 4),
    ("J4", ["--signal=B:USR1@90"], "f() { sbatch $0; exit 0; }\ntrap f USR1\n./x &\nwait", 3),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\nsleep 1 & wait\n./x &\nwait", 6),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./y\nwait\n./x &\nwait", 7),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./x &\nif kill -0 $p; then wait $p; fi", 5),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./x &\nif wait $p; then a; fi", 5),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./x &\nfor p in 1 2; do wait $p; done", 5),
    ("J4", ["--signal=B:USR1@90"], "f() { kill $p; exit 0; wait; }\ntrap f USR1\n./x &\nwait", 3),
    ("J5", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\nexec ./x", 4),
    ("J5", [], "trap 'kill $p' USR1\nexec srun ./x", 3),
    ("J6", [], "./x & wait", 2),
    ("J6", [], "./x &\nwait $!", 3),
    ("J6", [], "./x $(hostname) &\nwait", 3),
    ("J7", [], "#SBTACH -n 1\nsrun x", 2),
    ("J7", [], "#SBATC -n 1\nsrun x", 2),
    ("J7", [], "#SSBATCH -n 1\nsrun x", 2),
    ("J7", [], "SBATCH -n 1", 2),
    ("J7", [], "SBTACH --mem=1G\nsrun x", 2),
    ("J7", [], "#SBTCH -n 1\nsrun x", 2),
    ("J7", [], "x\n#SBATCH -n 1", 3),
    ("J7", [], "\t#SBATCH -n 1", 2),
    ("J8", ["-n 1"], "sbatch --mem=1G -p a python3.11 x.py", 3),
    ("J8", ["-n 1"], "sbatch srun ./x", 3),
    ("J9", [], "srun x\nset -u\n[ $SLURM_RESTART_COUNT -gt 0 ]", 4),
    ("J9", [], "[ $SLURM_RESTART_COUNT -gt 0 -a $SLURM_RESTART_COUNT -lt 9 ]", 2),
    ("J11", [], '[ ! "$SLURM_RESTART_COUNT" ]', 2),
    ("J12", ["-n 1"], "if a; then exit 99; fi", 3),
    ("J13", ["-p main_risk"], "srun x", 2),
    ("J13", ["-p a,b-preempt"], "srun x", 2),
    ("J13", ["-q scavenger"], "srun x", 2),
    ("J13", ["-p ckpt"], "srun x", 2),
    ("J13", ["-p x_risk"], "exec outlast run -- x", 2),
    ("J13", ["-p spot", "--requeue", "--no-requeue"], "srun x", 4),
    ("J14", ["--requeue"], "srun x", 2),
    ("J14", ["-p spot"], "srun x", 2),
    ("J14", ["--no-requeue", "--requeue"], "srun x", 3),
    ("J14", ["-n 1"], "srun x || scontrol requeue $SLURM_JOB_ID", 3),
    ("J14", ["--requeue", "--open-mode=t"], "srun x", 3),
    ("J15", ["-a 1,2"], "scontrol requeue $SLURM_JOBID", 3),
    ("J15", ["-a 1-5%1"], "trap 'scontrol requeue $SLURM_JOB_ID' USR1", 3),
    ("J15", ["-a 1-5"], "id=$SLURM_ARRAY_JOB_ID\nscontrol requeuehold $id", 4),
    ("J16", ["--container=/x"], "scontrol requeue 1", 3),
    ("J16", ["-n 1"], "singularity exec x.sif bash -c 'a && scontrol requeue 1'", 3),
    ("J16", ["-n 1"], "srun --container-image=x bash -c 'scontrol requeue 1'", 3),
    ("J17", ["-n 1"], "srun x\nsbatch $0", 4),
    ("J17", ["-n 1"], "srun x\nsbatch job.sh", 4),
    ("J17", ["-n 1"], "srun x\nsbatch --mem=1 ${BASH_SOURCE[0]}", 4),
    ("J17", ["-n 1"], "me=$0\nsrun x\nsbatch $me", 5),
    ("J17", ["-n 1"], "if [ ! -f done ]; then\nsbatch $0; fi", 4),
    ("J17", ["-n 1"], "f() { scontrol requeue 1; }\nif [ $rc -eq 0 ]; then f; fi", 3),
    ("J17", ["-n 1"], "echo 'max -lt count'\n[ -n $MAX ] && scontrol requeue 1", 4),
    ("J17", ["-n 1"], "if ./again 5; then scontrol requeue 1; fi", 3),
    ("J18", ["-n 1"], "srun x\nif [ $? -eq 0 ]; then if ! [ -e y ]; then\nsbatch $0; fi; fi", 5),
    ("J18", ["-n 1"], "rc=$?\n[ $rc == 0 ] && [ ! -s y ] && sbatch $0", 4),
    ("J19", ["-n 1"], "trap 'kill $p; scontrol requeue 1; wait' USR1\nx &", 3),
    ("J19", ["-n 1"], "f() { kill $p; }\ng() { f; scontrol requeue 1; }\ntrap g USR2\nx &\nwait", 4),
    ("J19", ["-n 1"], "g() { wait; }\nf() { scontrol requeue 1; }\ntrap f USR1\nx &\ng", 4),
    ("J20", ["--requeue"], "sbatch --dependency=afternotok:$SLURM_JOBID y.sh", 3),
    ("J20", ["-n 1"], "me=$SLURM_JOB_ID\nscontrol requeue 1\nsbatch -d afterok:$me y.sh", 5),
    ("J21", ["--array=0-9%1"], "srun x", 2),
    ("J22", ["--signal=USR1@59"], "srun x", 2),
    ("J22", ["-t 10", "--signal=USR1@600"], "srun x", 3),
    ("J22", ["--signal=B:USR1@120"], "f() { sleep 2m; }\ntrap f USR1\nx &", 3),
    ("J23", [], "x --checkpoint-dir /tmp/a", 2),
    ("J23", [], "x --save_dir=${TMPDIR}/a", 2),
    ("J23", [], "x trainer.ckpt_path=/dev/shm/a", 2),
    ("J23", [], "D=$(mktemp -d)\nx --restart-dir $D/r", 3),
    ("J23", [], "export CHECKPOINT_DIR=$SLURM_TMPDIR", 2),
    ("J23", [], "cp -r $HOME/a /tmp/a\nx --checkpoint-dir /tmp/a", 3),
    ("J23", [], "cp a b\nx --checkpoint-dir /tmp/a", 3),
    ("J24", ["-n 1"], "workdir=/x/$SLURM_JOB_ID\nx --run-dir=$workdir\nsbatch $0", 3),
    ("J24", ["-n 1"], "workdir=/x/$SLURM_JOBID\nsbatch $0", 3),
    ("J24", ["-n 1"], "id=$SLURM_JOB_ID\nx --checkpoint-dir=/x/$id/c\nsbatch $0", 4),
    ("J25", ["-a 1-9"], "x --seed=$SLURM_ARRAY_TASK_ID --checkpoint-dir=$SCRATCH/c", 3),
    ("J25", ["-a 1-9"], "CKPT=$HOME/$SLURM_ARRAY_JOB_ID\ny $SLURM_ARRAY_TASK_ID", 3),
    ("J25", ["-a 1-9"], "x --seed=$SLURM_ARRAY_TASK_ID --checkpoint last.ckpt", 3),
    ("J25", ["-a 1-9"], "D=/a\nCKPT=$D/b\nx --seed=$SLURM_ARRAY_TASK_ID --checkpoint=$CKPT", 4),
    ("J26", [], "last=`ls -rt | head -1`", 2),
    ("J26", [], "x $(ls -r1t ckpt/ | head --lines=1)", 2),
    ("J26", [], "latest=$(ls -1t *.h5 | grep -v tmp | tail -1)", 2),
    ("J26", [], "f=$(printf '%s\\n' step* | sort | tail -1)", 2),
    ("J26", [], "last=$(ls -t ckpt* | sort | head -1)", 2),
    ("J26", [], "last=$(ls -v ckpt* | sort | tail -1)", 2),
    ("J27", ["--requeue"], "rm -fr out\nmkdir out\ncd out\nsrun x", 3),
    ("J27", ["--requeue"], "rm --recursive out/*\nsrun x --dir=out/a", 3),
    ("J27", ["--signal=USR1@90"], "rm -r out\nsrun x --dir=out", 3),
    ("J27", ["-n 1"], "rm -r out\nsrun x --dir=out\nsbatch $0", 3),
    ("J27", [], "rm -r out\nx --resume out/a", 2),
    ("J28", [], "cp last.ckpt start\nrm -f last.ckpt\nx start", 3),
    ("J28", [], "[ -e a.rst ] && rm a.rst\nx", 2),
    ("J28", [], "x --resume=ckpt/a\nrm -r ckpt/a\nx", 3),
    ("J30", ["--signal=B:USR1@90"], "exec conda run -n a python x", 3),
    ("J30", ["--signal=USR1@90"], "srun bash -lc 'cd a && ./x'", 3),
    ("J30", [], "trap 'kill $p' USR1\nmamba run -p a ./x &", 3),
    ("J31", ["--signal=USR1@90"], "srun -n 1 Rscript a.R", 3),
    ("J31", ["--signal=B:USR2@90"], "exec R -f a.R", 3),
    ("J31", [], "trap 'kill -12 $p' USR1\nRscript a.R &", 2),
    ("J31", [], "trap 'kill -s USR1 $p' USR1\nsrun Rscript a.R &", 2),
    ("J31", [], "trap 'scancel --signal=USR1 $SLURM_JOB_ID' USR1\nsrun Rscript a.R &", 2),
    ("J32", ["-n 1"], "scontrol requeue 1\nsbatch $0", 4),
    ("J32", ["-n 1"], "sbatch $0\nif a; then scontrol requeue 1; fi", 4),
    ("J32", ["-n 1"], "f() { scontrol requeue 1; }\ntrap f USR1\nx &\nsbatch job.sh", 6),
    ("J32", ["-n 1"], "f() { scontrol requeue 1; }\ng() { exit; }\ntrap f USR1\nx &\nsbatch job.sh", 7),
    ("J32", ["-n 1"], "if a; then exit; fi\nscontrol requeue 1\nsbatch $0", 5),
    ("J32", ["-n 1"], "scontrol requeue 1\nif a; then exit; fi\nsbatch $0", 5),
    ("J32", ["-n 1"], "if a; then b; else scontrol requeue 1; fi\nif c; then sbatch $0; fi", 4),
    ("J32", ["-n 1"], "if a; then scontrol requeue 1; sbatch $0; fi", 3),
    ("J32", ["-n 1"], "scontrol requeue 1\na || sbatch $0", 4),
    ("J32", ["-n 1"], "scontrol requeue 1 && sbatch $0", 3),
    ("J33", ["-p x_risk"], "srun x", 3),
    ("J33", ["-p x_risk"], "[ -f a ] && echo there\nsrun x", 4),
    ("J34", [], "trap 'touch EXIT' USR1\nx &", 2),
    ("J34", [], "f() { echo stop > $D/run.EXIT; }\ntrap f USR1\nx &", 2),
    ("J36", [], "x &\nkill -9 $!", 3),
    ("J36", [], "x &\nkill -s KILL $!", 3),
    ("J36", [], "trap 'killall -KILL x' EXIT\nsrun x", 2),
    ("J36", [], "f() { pkill -SIGKILL -u $USER; }\ntrap f TERM\nx", 2),
    ("J36", [], "x &\np=$!\nkill -9 $p", 4),
    ("J36", [], "sleep 9 &\nm=7\nx &\nkill -9 $m", 5),
    ("J36", [], "g() { kill -9 $p; }\nf() { g; }\ntrap f USR1\nx &", 2),
    ("J36", [], "g() { sleep 9; }\nf() { kill -9 $p; }\ntrap f TERM\nx", 3),
    ("J36", [], "f() { kill -9 $p; sleep 60; }\ntrap f TERM\nx", 2),
    ("J36", [], "sleep 9\nx &\nkill -9 $!", 4),
    ("J36", [], "sleep 9\ntrap 'kill -9 $p' TERM\nx", 3),
    ("J37", ["--checkpoint=10"], "srun x", 2),
    ("J37", ["-n 1"], "srun --restart-dir=a x", 3),
    ("J37", ["-n 1"], "exec srun --checkpoint 10 x", 3),
    ("J37", ["-n 1"], "sbatch --checkpoint-dir=a x.sh", 3),
    ("J37", ["-n 1"], "cr_run ./x", 3),
    ("J37", ["-n 1"], "scontrol checkpoint create 1", 3),
    ("J39", ["--time-min=60"], "x --max-time=3600", 3),
    ("J39", ["--time-min=60"], "h=23.5\nx -maxh $h", 4),
    ("J39", ["--time-min=60"], "srun timeout -s INT 3600 x", 3),
]


@pytest.mark.parametrize(("rule", "directives", "body", "line"), FOUND)
def test_found(rule, directives, body, line):
    assert lines(rule, job(*directives, body=body)) == [line]


LEFT_ALONE = [
    ("J1", ["--signal=B:USR1@90"], "python x"),
    ("J1", ["--signal=USR1@90"], "srun python x"),
    ("J1", ["--signal=USR1@90"], "mpirun -n 2 python x"),
    ("J1", ["--signal=USR1@90"], 'run="srun -n 4"\n$run python x'),
    ("J1", ["--signal=USR1@90"], "bash inner.sh"),
    ("J1", ["--signal=USR1@90"], "./inner.sh"),
    ("J1", ["--signal=USR1@90"], "$START python x"),
    ("J1", ["--signal=USR1@90"], "outlast run -- python x"),
    ("J1", ["--signal=USR1@90"], "trap '' USR1\nsrun python x"),
    ("J1", ["--signal=USR1@90"], "trap 'echo near the end' USR1\nsrun python x"),
    ("J1", ["--signal=USR1@90"], ""),
    ("J1", ["--signal=USR1@90"], "trap 'kill $p' TERM\nsrun x &"),
    ("J1", ["--signal=USR1@90"], "trap '' USR1\ntrap 'kill $p' USR2\nsrun x &"),
    ("J1", ["--signal=nonsense@x"], "python x"),
    ("J2", ["--signal=B:USR1@90"], "trap f USR1\npython x &\nwait"),
    ("J2", ["--signal=B:USR1@90"], "trap f 10\npython x &\nwait"),
    ("J2", ["--signal=B:USR1@90"], "trap '' USR1\npython x"),
    ("J2", ["--signal=B:USR1@90"], "exec python x"),
    ("J2", ["--signal=B:USR1@90"], "requeue_job func_trap USR1\npython x &\nwait"),
    ("J2", ["--signal=B:USR1@90"], "source ./signals.sh\npython x &\nwait"),
    ("J2", ["--signal=B:CONT@90"], "python x"),
    ("J2", ["--signal=B:INT@90"], "python x"),
    ("J2", ["--signal=USR1@90"], "srun python x"),
    ("J2", ["--signal=B:USR1@90"], "echo only"),
    ("J3", ["--signal=B:USR1@90"], "trap 'touch stop' USR1\n./x &\nwait"),
    ("J3", ["--signal=B:USR1@90"], "trap 'rm -f x' EXIT\n./x"),
    ("J3", ["--signal=B:USR1@90"], "trap '' USR1\n./x"),
    ("J3", ["--signal=B:USR1@90"], "./x\ntrap 'touch stop' USR1"),
    ("J3", ["--signal=USR1@90"], "trap 'touch stop' USR1\nsrun ./x"),
    ("J3", ["--signal=B:USR1@90"], "trap 'touch stop' USR1\nexec ./x"),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p; wait $p' USR1\n./x &\nwait"),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./x &\nwait; wait"),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./x &\n" + WAIT),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./x &\nuntil wait $p; do :; done"),
    ("J4", ["--signal=B:USR1@90"], "f() { kill $p; sleep 60; exit 0; }\ntrap f USR1\n./x &\nwait"),
    ("J4", ["--signal=B:USR1@90"], "./x &\nwait"),
    ("J4", [], "trap 'rm -f x' EXIT\n./x &\nwait"),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p; exit 0' USR1\n./x"),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p; scontrol requeue 1; exit' USR1\n./x &\nwait"),
    ("J4", ["--signal=B:USR1@90"], "trap 'kill $p' USR1\n./x &\nwhile true; do wait $p && break; done"),
    ("J5", ["--signal=B:USR1@90"], "trap f USR1\nexec > log"),
    ("J5", ["--signal=B:USR1@90"], "trap f USR1\nexec outlast run -- x"),
    ("J5", ["--signal=B:USR1@90"], "exec x\ntrap f USR1"),
    ("J5", [], "trap f EXIT\nexec x"),
    ("J6", [], "./x & ./y &\nwait"),
    ("J6", [], "./x &\n./y\nwait"),
    ("J6", [], "trap f USR1\n./x &\nwait"),
    ("J6", [], "for i in 1 2; do ./x & done\nwait"),
    ("J6", [], "sleep 9 &\nwait"),
    ("J6", [], "trap f EXIT\n./x &\nwait"),
    ("J6", ["--signal=B:USR1@90"], "./x &\nwait"),
    ("J6", [], "./x &\nuntil wait; do :; done"),
    ("J6", [], "requeue_job func USR1\n./x &\nwait"),
    ("J7", [], "##SBATCH -n 1\n# SBATCH -n 1\n#SWITCH -n 1\n#SABTXX -n 1\n#SBATCHX -n 1\n#SBATCH\n# sbatch -n 1"),
    ("J7", [], "sbatch -n 1 x.sh"),
    ("J7", [], "x\n##SBATCH -n 1\ncat <<E\n#SBATCH -n 1\nE"),
    ("J7", [], "x #SBATCH -n 1"),
    ("J7", [], "batch -n 1\nMATCH -n 1"),
    ("J7", [], "x; SBATCH -n 1\nsrun y #SBTACH -n 1"),
    ("J8", ["-n 1"], "sbatch python.sh"),
    ("J8", ["-n 1"], "sbatch --wrap 'python x'"),
    ("J8", [], "srun --version\nsbatch python x"),
    ("J9", [], '[ "$SLURM_RESTART_COUNT" = 0 ]'),
    ("J10", [], "[ $SLURM_RESTART_COUNT = 0 ]"),
    ("J10", [], '[ "$SLURM_RESTART_COUNT" >> 3 ]'),
    ("J11", [], "[[ -v SLURM_JOB_ID || -f SLURM_RESTART_COUNT ]]"),
    ("J11", [], '[ 0 -lt "$SLURM_RESTART_COUNT" ]'),
    ("J11", [], '[ "$SLURM_JOB_ID" = "" ] && srun x $SLURM_RESTART_COUNT'),
    ("J12", ["-n 1"], "exit 98\nexit\nreturn 99"),
    ("J12", ["-n 1"], "#$ -N a\nexit 99"),
    ("J12", [], "exit 99"),
    ("J13", ["-p risky"], "srun x"),
    ("J13", ["-p main", "-q non-preemptible"], "srun x"),
    ("J13", ["-p x_risk", "--no-requeue", "--requeue"], "srun x"),
    ("J13", ["-p x_risk", "--no-requeue"], "exec outlast run -- x"),
    ("J14", ["--requeue", "--open-mode=append"], "srun x"),
    ("J14", ["--requeue", "--open-mode a"], "srun x"),
    ("J14", ["--requeue", "-o /dev/null"], "srun x"),
    ("J14", ["-p spot", "--no-requeue"], "srun x"),
    ("J14", ["-n 1"], "srun x"),
    ("J15", ["-n 1"], "scontrol requeue $SLURM_JOB_ID"),
    ("J15", ["-a 1-9"], "scontrol requeue $OTHER"),
    ("J15", ["-a 5"], "scontrol requeue $SLURM_JOB_ID"),
    ("J15", ["-a 0-0"], "scontrol requeue $SLURM_JOB_ID"),
    ("J15", ["-a 1-2"], "scontrol requeue ${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\nscontrol show job $SLURM_JOB_ID"),
    ("J16", ["-n 1"], "apptainer exec x.sif ./a\nscontrol requeue 1"),
    ("J16", ["--container=/x"], "srun a $(scontrol show hostnames)"),
    ("J16", ["-n 1"], "bash -c 'scontrol requeue 1'"),
    ("J17", ["-n 1"], "[ ${SLURM_RESTART_COUNT:-0} -lt 9 ] && scontrol requeue 1"),
    ("J17", ["-n 1"], "(( attempts++ < 9 )) || exit\nsbatch $0"),
    ("J17", ["-n 1"], "srun x\nif [ $? -eq 85 ]; then sbatch $0; fi"),
    ("J17", ["-n 1"], "srun x\ncase $? in 85) sbatch $0;; esac"),
    ("J17", ["-n 1"], "if [ new -nt old ]; then sbatch $0; fi"),
    ("J17", ["-n 1"], "outlast run -- x || scontrol requeue 1"),
    ("J17", ["-n 1"], "sbatch next.sh"),
    ("J18", ["-n 1"], "if [ $? -eq 85 ] && [ ! -f y ]; then sbatch $0; fi"),
    ("J18", ["-n 1"], "if [ $? -eq 0 ]; then a; else [ ! -f y ] && sbatch $0; fi"),
    ("J19", ["-n 1"], "trap 'kill $p; wait $p; scontrol requeue 1' USR1\nx &"),
    ("J19", ["-n 1"], "g() { scontrol requeue 1; }\nf() { kill $p; sleep 60; g; }\ntrap f USR1\nx &"),
    ("J18", ["-n 1"], "[ $? -eq 0 ] && sbatch $0"),
    ("J19", ["-n 1"], "x &\nwait\nscontrol requeue 1"),
    ("J20", ["-n 1"], "sbatch -d afterok:$SLURM_JOB_ID y.sh"),
    ("J20", ["-n 1"], "sbatch --requeue a.sh\nsbatch -d afterok:$SLURM_JOB_ID b.sh"),
    ("J20", ["--requeue"], "sbatch -d afterok:5 b.sh"),
    ("J20", ["--requeue"], "sbatch --comment=afterok:$SLURM_JOB_ID b.sh"),
    ("J20", ["--requeue"], "sbatch -d afterany:$SLURM_JOB_ID y.sh\nsbatch -d singleton y.sh"),
    ("J20", [], "a=$(sbatch --parsable a.sh)\nsbatch -d afterok:$a y.sh"),
    ("J21", ["--array=0-9%2"], "srun x"),
    ("J21", ["--array=0-0%1"], "srun x"),
    ("J21", ["--array=0-9%1"], "exec outlast run -- x"),
    ("J21", ["--array=0-9%1"], "srun x $SLURM_ARRAY_TASK_ID"),
    ("J22", ["--signal=USR1"], "srun x"),
    ("J22", ["--signal=B:USR1@30"], "exec outlast run -- x"),
    ("J22", ["-t 11", "--signal=USR1@600"], "srun x"),
    ("J22", ["-t UNLIMITED", "--signal=USR1@600"], "srun x"),
    ("J22", ["--signal=B:USR1@120"], "trap 'while kill -0 $p; do sleep 200; done' USR1\nx &\nsleep 300"),
    ("J22", ["--signal=B:USR1@120"], "trap 'kill 300; sleep 100; sleep' USR1\nx &"),
    ("J23", [], "x --checkpoint-dir /home/tmp/a --log-dir /tmp/a --checkpoint-every=/tmp"),
    ("J23", [], "TMPDIR=$SCRATCH/tmp\nx --checkpoint-dir $TMPDIR"),
    ("J23", [], "x --checkpoint-dir /tmp/a\ncp -r /tmp/a $HOME"),
    ("J23", [], "exec outlast run --store /tmp/x -- a"),
    ("J23", [], "RESTART_COUNT=3\nx --restart"),
    ("J23", [], "x --checkpoint-dir /tmp/a\ntar cf $HOME/a.tar /tmp/a"),
    ("J23", [], "x resume /tmp/a"),
    ("J24", ["-n 1"], "workdir=/x/$SLURM_JOB_ID"),
    ("J24", ["-n 1"], "name=/x/$SLURM_JOB_ID\nworkdir=/x/y\ntmp_run_dir=/x/$SLURM_JOB_ID\nsbatch $0"),
    ("J24", ["-n 1"], "workdir=/x/$SLURM_JOB_ID\nsbatch $0 $workdir"),
    ("J24", ["-n 1"], "workdir=/x/$SLURM_JOB_ID\nsbatch --export=ALL,D=$workdir $0"),
    ("J24", ["-n 1"], "tmp_dir=/x/$SLURM_JOB_ID\nlog=/x/$SLURM_JOB_ID\nsbatch $0"),
    ("J25", ["-n 1"], "x $SLURM_ARRAY_TASK_ID --checkpoint-dir=/a"),
    ("J25", ["-a 1-9"], "x --checkpoint-dir=/a"),
    ("J25", ["-a 1-9"], "i=$SLURM_ARRAY_TASK_ID\nx --checkpoint-dir=/a/$i"),
    ("J25", ["-a 1-9"], "x --name r$SLURM_ARRAY_TASK_ID --checkpoint-dir=/a"),
    ("J25", ["-a 1-9"], "x --seed=$SLURM_ARRAY_TASK_ID --checkpoint best --ckpt-dir=`hostname`/c --save-dir=/tmp/c"),
    ("J25", ["-a 1-9"], "cd run$SLURM_ARRAY_TASK_ID\nx --checkpoint-dir=./a"),
    (
        "J25",
        ["-a 1-9"],
        "x --seed=$SLURM_ARRAY_TASK_ID --ckpt-dir=/a/$(hostname) --save-dir=/b/$1 --restart-dir=$OTHER/x",
    ),
    ("J25", ["-a 1-9"], "x $SLURM_ARRAY_TASK_ID\noutlast run --store /a -- y"),
    ("J26", [], "ls | head -1\nls -t ckpt* | head -5\nls ckpt* | tail -n +2"),
    (
        "J26",
        [],
        "last=$(ls -t | head -1)\nlast=$(ls -rt | tail -1)\nlast=$(ls -v | tail -1)\nlast=$(ls | sort -n | tail -1)",
    ),
    ("J26", [], "rm $(ls -rt ckpt* | head -1)\nls -rt ckpt* | head -1 | xargs rm"),
    ("J26", [], "latest=$(find . -name 'ckpt*' | head -1)"),
    ("J26", [], "cat ckpt.txt | sort | tail -1\nls ckpt* | nl -n1\nlatest=x\nnode=$(ls -rt x | head -1)"),
    ("J26", [], "last=$(printf 'ckpt_%03d\\n' 1 2 | sort | tail -1)"),
    ("J27", [], "rm -r out\nx --dir=out"),
    ("J27", ["--requeue"], "rm -r out/tmp\nrm -f out\nsrun x --dir=out"),
    ("J27", ["--requeue"], "if fresh; then rm -r out; fi\nsrun x --dir=out"),
    ("J27", ["--requeue"], "srun x --dir=out\nrm -r out"),
    ("J27", ["--requeue"], "rm -r /tmp/out\nsrun x --dir=/tmp/out"),
    ("J27", ["--requeue"], "rm -r other\nmkdir other\nsrun x --dir=out"),
    ("J27", ["--requeue"], "cd out; cd ..\nrm -r out\nmkdir out\nls out\nsrun x"),
    ("J27", ["--requeue"], "rm -r out/cache\nsrun x --dir=out/cache"),
    ("J27", ["--requeue"], "srun a\nrm -r out\nsrun x --dir=out"),
    ("J27", ["--requeue"], "trap 'rm -r out' USR1\nsrun x --dir=out"),
    ("J27", ["--requeue"], "for i in 1; do rm -r out; done\nsrun x --dir=out"),
    ("J28", [], "cp a.ckpt b\ntrap 'rm a.ckpt' USR1\nx"),
    ("J28", [], "f() { cp a.ckpt b; rm a.ckpt; }\ntrap f USR1\nx"),
    ("J28", [], "f() { cp a.ckpt b; }\nrm a.ckpt\ncp a.ckpt c\nls a.ckpt\nx"),
    ("J28", [], "ls a.ckpt\ncp z y\nrm a.ckpt\nx"),
    ("J28", [], "[ -f a.ckpt ] || rm -f a.ckpt\nx"),
    ("J28", [], "cp log b\nrm log\ncp /tmp/a.ckpt b\nrm /tmp/a.ckpt\ncp a.ckpt.old b\nrm a.ckpt.old\nx"),
    ("J28", [], "cp last.ckpt start\nx start\nrm last.ckpt"),
    ("J28", [], "rm -f new.ckpt\nx"),
    ("J28", [], "cp last.ckpt start\nrm last.ckpt.old start\nx"),
    ("J28", [], "if [ ! -f a.ckpt ]; then rm a.ckpt; fi\nx"),
    ("J30", [], "conda run -n a python x"),
    ("J30", ["--signal=B:USR1@90"], "conda run -n a outlast run -- python x"),
    ("J30", ["--signal=B:USR1@90"], "exec bash -c 'python x'\nexec bash -c 'a; exec python x'\nbash x.sh"),
    (
        "J30",
        ["--signal=USR1@90"],
        "srun python x -c 'a; b'\nsrun bash -x 'a; b'\nsrun bash -c\nsrun bash -c 'python x;'",
    ),
    ("J31", ["--signal=B:USR1@90"], "srun Rscript a.R"),
    ("J31", ["--signal=USR1@90"], "exec Rscript a.R"),
    ("J31", [], "trap 'echo -USR1 USR1' USR1\nRscript a.R &"),
    ("J31", [], "trap 'kill -USR1 $p' USR1\npython a &\np=$!\nwait\nRscript b.R"),
    ("J31", ["--signal=B:USR1@90"], "trap 'touch stop' USR1\nRscript a.R &"),
    ("J31", ["--signal=TERM@90"], "srun Rscript a.R"),
    ("J31", ["--signal=USR1@90"], "Rscript a.R"),
    ("J31", [], "trap 'kill -USR1 $p' USR1\npython a &"),
    ("J31", [], "trap 'kill -TERM $p' USR1\nRscript a.R &"),
    ("J32", ["-n 1"], "scontrol requeue 1 || sbatch $0"),
    ("J32", ["-n 1"], "if a; then scontrol requeue 1; else sbatch $0; fi"),
    ("J32", ["-n 1"], "f() { scontrol requeue 1; exit; }\ntrap f USR1\nx &\nsbatch job.sh"),
    ("J32", ["-n 1"], "scontrol requeue 1\nsbatch other.sh"),
    ("J32", ["-n 1"], "if ! scontrol requeue 1; then sbatch $0; fi"),
    ("J32", ["-n 1"], "scontrol requeue 1 && exit\nsbatch $0"),
    ("J33", ["-p x_risk", "--no-requeue"], "srun x"),
    ("J33", ["-p main", "--requeue"], "srun x"),
    ("J33", ["-p x_risk"], "echo there is no work"),
    ("J33", ["-p x_risk"], "if [ ! -e a ]; then srun x; fi"),
    ("J33", ["-p x_risk"], "test -s a && exit\nsrun x"),
    ("J33", ["-p x_risk"], "for i in 1 2; do\n[[ -f $i.done && $FORCE != 1 ]] && continue\nsrun x $i\ndone"),
    ("J33", ["-p x_risk"], "exec outlast run -- x"),
    ("J34", [], "rm -f EXIT\ntrap 'touch EXIT' USR1\nx &"),
    ("J34", [], "trap 'touch log' USR1\ntouch EXIT\nx &"),
    ("J34", [], "trap 'echo EXIT; cat < EXIT' USR1\nx &"),
    ("J34", [], "trap 'touch a.EXIT' USR1\nsrun pw.x &"),
    ("J36", [], "kill -9 $old\nx &"),
    ("J36", [], "x &\nkill -TERM $!"),
    ("J36", [], "f() { kill -9 $old; }\nf\nx &"),
    ("J36", [], "trap 'pkill -9 tail' EXIT\nx -9"),
    ("J36", [], "trap 'pkill -9 tail' EXIT\nx"),
    ("J36", [], "f() { kill $p; sleep 60; kill -9 $p; }\ntrap f TERM\nx"),
    ("J36", [], "sleep 9 &\nm=$!\nx\nkill -9 $m"),
    ("J37", ["-n 1"], "srun x --checkpoint=10\nx --checkpoint-dir=a\nscontrol show job 1"),
    ("J39", ["-t 60"], "x --max-time=3600"),
    ("J39", ["--time-min=60"], "x --max-time=$left\noutlast run --max-time 80h -- y\ntimeout $left z"),
]


@pytest.mark.parametrize(("rule", "directives", "body"), LEFT_ALONE)
def test_left_alone(rule, directives, body):
    assert lines(rule, job(*directives, body=body)) == []


def test_a_program_that_starts_steps_by_itself():
    text = "#!/usr/bin/env python3\n#SBATCH --signal=USR1@90\nimport os\nos.system('{}')\n"
    assert lines("J1", text.format("srun x")) == []
    assert lines("J1", text.format("x")) == [2]


def test_severities_of_a_place():
    """The same rule may be worse in one place than in another."""
    found = {
        (one.rule.id, one.line): one.severity
        for one in check(
            job(
                "-p spot",
                "--no-requeue",
                "--signal=B:USR1@50",
                body="trap 'sleep 60' USR1\nx=$(ls ckpt* | tail -1)\nx &",
            )
        ).findings
    }
    assert found[("J13", 3)] == found[("J22", 5)] == "error"
    assert found[("J22", 4)] == found[("J26", 6)] == "warning"


@pytest.mark.parametrize(
    ("text", "seconds_s"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("1:30:05", 5405),
        ("2-12", 216000),
        ("2-12:30", 217800),
        ("2-12:30:10", 217810),
        ("UNLIMITED", None),
        ("", None),
    ],
)
def test_time_limits(text, seconds_s):
    assert time_limit_s(text) == seconds_s


@pytest.mark.parametrize(
    "comment", ["# outlast: allow J14", "#outlast:allow J9, J14", "x  # outlast: allow J9 J14 J33"]
)
def test_a_rule_is_turned_off(comment):
    assert lines("J14", job("--requeue", body="srun y")) == [2]
    assert lines("J14", job("--requeue", body=f"{comment}\nsrun y")) == []


@pytest.mark.parametrize("comment", ["# outlast: allow J1", "# allow J14", "# outlast: allow", "# outlast: allow J145"])
def test_another_one_is_not(comment):
    assert lines("J14", job("--requeue", body=f"{comment}\nsrun y")) == [2]


SHELL_ONLY = "trap 'touch EXIT' USR1\n./x &\nwait\nexit 99\nscontrol requeue 1\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("#!/bin/bash\n#SBATCH -n 1\n", {"J4", "J12", "J14", "J17", "J34"}),
        ("#!/bin/bash\n#PBS -l x\n", {"J4", "J34"}),
        ("#!/bin/bash\n#$ -N x\n", {"J4", "J34"}),
        ("#!/usr/bin/env python3\n#SBATCH -n 1\n", set()),
        ("#!/bin/csh\n#SBATCH -n 1\n", set()),
        ("#!/bin/bash\n#PBS -l x\n#SBATCH -n 1\n", {"J4", "J12", "J14", "J17", "J34"}),
        ("#!/usr/bin/env zsh\n#SBATCH -n 1\n", {"J4", "J12", "J14", "J17", "J34"}),
        ("", {"J4", "J12", "J14", "J17", "J34"}),
    ],
)
def test_rules_know_what_they_are_about(head, expected):
    assert {one.rule.id for one in check(head + SHELL_ONLY).findings} == expected


def test_every_rule_is_looked_at_here():
    mended = {"J9", "J10", "J11", "J26"}  # these are looked at more closely in test_mended
    for rows in (FOUND, LEFT_ALONE):
        assert mended | {row[0] for row in rows} == {rule.id for rule in RULES}


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("a=1", "$a/${a}", "1/1"),
        ("a=$b; b=2", "${a}", "2"),
        ("a=$a:x", "$a", "${a}"),
        ("a=1; read -r a b", "$a$b", "${a}${b}"),
        ("a=1; for a in 1 2; do :; done", "$a", "${a}"),
        ("", "${a:-x}/${SLURM_JOB_ID:-y}", "x/${SLURM_JOB_ID:-y}"),
        ("", "${a:+x}${a-}", "${a}${a}"),
        ("read a", "${a:-x}", "${a}"),
        ("a=1; a=2", "$a", "2"),
    ],
)
def test_variables(text, value, expected):
    assert parse(text).resolve(value) == expected


def test_variables_that_grow():
    text = "\n".join(f"a{n}=$a{n + 1}$a{n + 1}$a{n + 1}$a{n + 1}" for n in range(40))
    assert len(parse(text).resolve("$a0")) <= 4096
