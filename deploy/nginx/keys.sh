#!/bin/sh
# Writes the ring of URL-signing keys as nginx.conf includes it: a line for each key, its id and its
# secret. An id may be a word that means something to nginx ("default"), which `\\` takes from it.
set -eu
: "${LATHE_URL_KEYS:?set a ring of URL-signing keys}"
draft=$(mktemp /tmp/url-keys.XXXXXX)
printf '%s' "$LATHE_URL_KEYS" | tr -s '[:space:]' '\n' |
    sed '/^$/d; s/:/ "/; s/.*/\\\\&";/' >"$draft"
mv -f "$draft" /tmp/url-keys.conf
