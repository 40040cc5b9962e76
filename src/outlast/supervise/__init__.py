"""The supervisor: outside the program, sharing with it spec/process-v1.md and nothing else.

`supervise` runs a command through notices, crashes and restarts. `start` and `end_tree` are its tools, for those who
start processes on their own terms.
"""

from outlast.policy.restart import Rules
from outlast.supervise.events import JsonLines, Tell, sentences
from outlast.supervise.supervisor import supervise
from outlast.supervise.tree import StartError, end_tree, environment, start

__all__ = ["JsonLines", "Rules", "StartError", "Tell", "end_tree", "environment", "sentences", "start", "supervise"]
