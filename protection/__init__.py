"""The trust boundary: keys, signatures, tokens. No other room imports ``hmac`` or ``secrets``."""
