#!/bin/sh
# Writes the ring of URL-signing keys as nginx.conf includes it: a line for each key, its id and its
# secret. An id may be a word that means something to nginx ("default"), which `\\` takes from it.
set -eu
words=$(printf '%s' "${LATHE_URL_KEYS-}" | tr -s '[:space:]' '\n' | sed '/^$/d')
letter='[A-Za-z0-9_-]'
secret="$letter{43}=?|($letter{4}){11,}($letter{2}(==)?|$letter{3}=?)?"
if printf '%s\n' "$words" | grep -Eqv "^[a-z0-9]{1,16}:($secret)\$" ||
    printf '%s\n' "$words" | cut -d: -f1 | sort | uniq -d | grep -q .; then
    echo 'LATHE_URL_KEYS: set a ring "kid:secret …" of 32 bytes or more in base64url' >&2
    exit 1
fi
draft=$(mktemp /tmp/url-keys.XXXXXX)
printf '%s\n' "$words" | sed 's/:/ "/; s/.*/\\\\&";/' >"$draft"
mv -f "$draft" /tmp/url-keys.conf
