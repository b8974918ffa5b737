#!/bin/sh
# Fills in the site's template and becomes nginx's keeper. nginx looks names up once, at its start; where containers
# come and go under the same name (compose, --scale) this script notices and has it look again, without a cut.
set -eu

run=${FRONT_DOOR_DIR:-/tmp/nginx}
config=${NGINX_CONFIG:-/etc/nginx/nginx.conf}
template=${SITE_TEMPLATE:-/etc/nginx/site.conf.template}
every=${LOOKUP_INTERVAL:-5}
variables='${HTTP_LISTEN} ${GATEWAY_UPSTREAM} ${NOTIFIER_UPSTREAM} ${STORE_UPSTREAM} ${STORE_RANGE} ${STORE_ORIGIN} ${S3_BUCKET} ${PAGE_ROOT}'

# All addresses of all upstreams, in an order that does not depend on the resolver's mood; fails if one has none.
addresses() {
    for upstream in "$GATEWAY_UPSTREAM" "$NOTIFIER_UPSTREAM" "$STORE_UPSTREAM"; do
        found=$(getent ahosts "${upstream%:*}" | cut -d ' ' -f 1 | sort -u)
        [ -n "$found" ] || return 1
        printf '%s %s\n' "$upstream" "$found"
    done
}

mkdir -p "$run"
envsubst "$variables" <"$template" >"$run/site.conf"

until known=$(addresses); do
    echo "waiting for the names of $GATEWAY_UPSTREAM $NOTIFIER_UPSTREAM $STORE_UPSTREAM" >&2
    sleep 1
done

nginx -e stderr -c "$config" &
nginx=$!
stopping=
trap 'stopping=yes; kill -QUIT "$nginx" 2>/dev/null || true' QUIT TERM INT

while [ -z "$stopping" ] && kill -0 "$nginx" 2>/dev/null; do
    # `wait` lets a signal through at once; asleep, the shell would hear it only afterwards.
    sleep "$every" &
    wait $! || true
    # A name that is gone for a moment keeps its last addresses: better an attempt than none.
    if now=$(addresses) && [ "$now" != "$known" ] && kill -HUP "$nginx" 2>/dev/null; then
        known=$now
        echo "addresses changed, nginx looks them up again" >&2
    fi
done
wait "$nginx"
