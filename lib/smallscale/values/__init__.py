"""Whose values, and agreed how?

From votes to groups, to what all groups share, to a model trained on preferences.
"""

from smallscale.values.consensus import (
    group_aware_consensus,
    pooled_agreement,
    representative_statements,
)
from smallscale.votes import (
    Votes,
    bridging_scores,
    in_conversation,
    opinion_groups,
    opinion_map,
    read_polis,
)

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
