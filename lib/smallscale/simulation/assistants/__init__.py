"""What becomes of a town in which everybody's news passes through a model of their own
taste?"""

from smallscale.simulation.assistants.life import Lived, live
from smallscale.simulation.assistants.rules import Rules
from smallscale.simulation.assistants.world import World, make_world

__all__ = ["Lived", "Rules", "World", "live", "make_world"]
