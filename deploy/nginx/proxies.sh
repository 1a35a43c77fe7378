#!/bin/sh
# Writes the proxies that nginx.conf believes when they say whom they speak for: addresses and
# networks, but never everybody.
set -eu
words=$(printf '%s' "${EDGE_PROXIES-}" | tr -s '[:space:]' '\n' | sed '/^$/d')
address='[0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*'
if [ -n "$words" ] && printf '%s\n' "$words" | grep -Eqv "^($address)(/[1-9][0-9]{0,2})?$"; then
    echo 'EDGE_PROXIES: set addresses or networks of proxies, as in "10.0.0.7 fd00:86::/64"' >&2
    exit 1
fi
draft=$(mktemp /tmp/edge-proxies.XXXXXX)
printf '%s\n' "$words" | sed '/^$/d; s/.*/set_real_ip_from &;/' >"$draft"
mv -f "$draft" /tmp/edge-proxies.conf
