"""State of the CAPTCHA service: one interface over SQLite and Redis."""

from cloud_server.captcha.state.opening import open_store
from cloud_server.captcha.state.records import Challenge, Pooled, Repeat, Sealed, Site
from cloud_server.captcha.state.store import Store

__all__ = ["Challenge", "Pooled", "Repeat", "Sealed", "Site", "Store", "open_store"]
