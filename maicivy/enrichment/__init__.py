"""What follows from the circumstances of an event: the client, the place, the origin, the action.

Pure functions with data files of their own, each behind a cache of its own, for the worker. What they judge by may
change (lists of bots, names of sources): `maicivy bots reclassify` then judges anew what is stored.
"""

from maicivy.enrichment.actions import action_at, action_of
from maicivy.enrichment.clients import client_of
from maicivy.enrichment.origins import origin_of
from maicivy.enrichment.places import place_of

__all__ = ["action_at", "action_of", "client_of", "origin_of", "place_of"]
