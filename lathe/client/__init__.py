"""A player's side of offline listening: registering, keeping, renewing, and playing without a net.

``Shelf`` is the folder of one device, ``Keeper`` fetches and renews what is in it over HTTP, and
``play_kept`` decodes a track of it with the network gone.
"""

from lathe.client.keeper import Keeper
from lathe.client.player import play_kept
from lathe.client.shelf import Shelf

__all__ = ["Keeper", "Shelf", "play_kept"]
