"""What a test cluster is configured with: the text of its files. Timings are as short as Slurm allows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FRONT = "front"  # the machine with slurmctld and munged, where users submit
SHARED = "main,main_risk,main_abrupt,main_cancel"  # partitions of the same nodes
APART = "apart"  # one of a node of its own
_NETWORK = "10.77.0"
FRONT_ADDRESS = f"{_NETWORK}.254"

_CONF = """\
ClusterName=outlast
SlurmctldHost={front}({front_address})
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# Paths of sockets are short, wherever the folder lies: /dev/shm is each machine's own, /etc/munge the front machine's.
# How long credentials live is also how long a requeued job waits before it may start: five seconds at least.
AuthInfo=socket=/etc/munge/socket,cred_expire=5
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd-%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir=/dev/shm/slurmd
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
SlurmctldDebug=debug
SlurmdDebug=debug
MailProg=/bin/true
# No cgroups, no accounting: what a machine for tests may lack.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.txt
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
# A node that was silent comes back by itself; one that was set down does not.
ReturnToService=1
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1,sched_min_interval=0,default_queue_depth=200
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
{user_signal}
KillWait=8
OverTimeLimit=0
MinJobAge=900
InactiveLimit=0
CompleteWait=0
SlurmctldTimeout=10
# A node that is not heard of for so long is down, and its jobs are requeued.
SlurmdTimeout={silent_s}
MessageTimeout=3
UnkillableStepTimeout=30
TCPTimeout=2
{nodes}
PartitionName=DEFAULT MaxTime=INFINITE State=UP
PartitionName=main        Nodes={shared} Default=YES PriorityTier=10 PreemptMode=OFF
PartitionName=main_risk   Nodes={shared} PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace_s}
PartitionName=main_abrupt Nodes={shared} PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
PartitionName=main_cancel Nodes={shared} PriorityTier=1 PreemptMode=CANCEL GraceTime={grace_s}
PartitionName=apart       Nodes={apart} PriorityTier=10 PreemptMode=OFF
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What tests may want different.

    Attributes:
        nodes: how many `main` shares with the partitions that it preempts. One more is `apart`, for what takes long.
        cpus: of each node. They are numbers to Slurm only: so many jobs share what this machine has.
        grace_s: from the notice of a preemption to its end. Slurm takes KillWait + MessageTimeout (11 s) at least.
        silent_s: after so long without a word from a node it is down.
        sends_user_signal: a job that is preempted gets the signal that it asked for, even its batch script.
    """

    nodes: int = 4
    cpus: int = 8
    grace_s: int = 12
    silent_s: int = 10
    sends_user_signal: bool = True

    @property
    def names(self) -> list[str]:
        """The names of all nodes; the last one is `apart`."""
        return [f"n{number}" for number in range(1, self.nodes + 2)]

    def address(self, node: str) -> str:
        return f"{_NETWORK}.{node.removeprefix('n')}"

    def conf(self, folder: Path) -> str:
        """The text of slurm.conf. RequeueExit is not set: most sites do not."""
        nodes = [
            f"NodeName={name} NodeAddr={self.address(name)} CPUs={self.cpus} RealMemory=2000 State=UNKNOWN"
            for name in self.names
        ]
        return _CONF.format(
            front=FRONT,
            front_address=FRONT_ADDRESS,
            folder=folder,
            nodes="\n".join(nodes),
            shared=",".join(self.names[:-1]),
            apart=self.names[-1],
            grace_s=self.grace_s,
            silent_s=self.silent_s,
            user_signal="SlurmctldParameters=preempt_send_user_signal" if self.sends_user_signal else "",
        )

    def hosts(self) -> str:
        """The text of /etc/hosts."""
        lines = ["127.0.0.1 localhost", f"{FRONT_ADDRESS} {FRONT}"]
        return "\n".join([*lines, *(f"{self.address(name)} {name}" for name in self.names)]) + "\n"
