"""Limits: how much one request may ask for before it is looked at any closer."""

# Deeper than any page of a client; introspection does not count.
DEPTH = 10
# Enough for a screen; a thousand of them would be one request's way around a budget.
ALIASES = 15
TOKENS = 1000
# Documents whose parse and validation are remembered.
CACHED_DOCUMENTS = 500
BODY_BYTES = 64 * 1024
SUBSCRIPTIONS_PER_SOCKET = 10
INIT_WAIT_SECONDS = 5
