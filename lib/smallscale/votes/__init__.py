"""Who said yes to what, and which groups do the votes show?

Polis's files, its opinion groups, and Community Notes' bridging scores. Several themes
use them.
"""

from smallscale.votes.bridging import bridging_scores
from smallscale.votes.groups import in_conversation, opinion_groups, opinion_map
from smallscale.votes.polis import Votes, read_polis

__all__ = [
    "Votes",
    "bridging_scores",
    "in_conversation",
    "opinion_groups",
    "opinion_map",
    "read_polis",
]
