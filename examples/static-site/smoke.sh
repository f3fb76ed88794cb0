#!/bin/sh
# A check: passes by exit code 0. URL reaches the new version alone, also while
# it has no users yet. It runs where slipway runs, with slipway's environment.
set -eu
fetch() { wget -q -O - "$@"; }

fetch "$URL/" | grep -q "<title>" || {
	echo "$VERSION in $ENVIRONMENT: the page has no title"
	exit 1
}
with_password=$(printf '%s' "$URL/private/" | sed "s|://|://site:$SITE_PASSWORD@|")
fetch "$with_password" | grep -q "For your eyes only" || {
	echo "$VERSION in $ENVIRONMENT: the password does not open /private/"
	exit 1
}
