"""The trust boundary: keys, signatures and tokens. Only this room imports ``hmac`` or ``secrets``."""
