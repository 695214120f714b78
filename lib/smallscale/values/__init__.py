"""Whose values, and agreed how?

From votes to groups, to what all groups share, to a model trained on preferences.
"""

from smallscale.values.bridging import bridging_scores
from smallscale.values.consensus import (
    group_aware_consensus,
    pooled_agreement,
    representative_statements,
)
from smallscale.values.groups import in_conversation, opinion_groups, opinion_map
from smallscale.values.votes import Votes, read_polis

__all__ = [
    "Votes",
    "bridging_scores",
    "group_aware_consensus",
    "in_conversation",
    "opinion_groups",
    "opinion_map",
    "pooled_agreement",
    "read_polis",
    "representative_statements",
]
