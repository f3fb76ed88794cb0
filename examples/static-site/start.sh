#!/bin/sh
# Serves /srv/www on the port that PORT names; /private asks for a password.
set -eu
printf '/private:site:%s\n' "$SITE_PASSWORD" >/tmp/httpd.conf
exec httpd -f -p "127.0.0.1:$PORT" -h /srv/www -c /tmp/httpd.conf
