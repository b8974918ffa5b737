#!/bin/sh
# Installs what is missing for `make up` (run), on top of it for `make test` and `make lint` (dev), and on top of that
# for `make bench` (bench).
# Run again it finds everything in place and does nothing: each step leaves a stamp of what it was done for.
set -eu

mode=${1:-}
case $mode in run | dev | bench) ;; *) echo "usage: bootstrap.sh run|dev|bench" >&2; exit 2 ;; esac
cd "$(dirname "$0")/../.."

say() { printf '%s\n' "$*" >&2; }
fail() { say "$@"; exit 2; }
have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/usr/lib/rabbitmq/bin/$1" ]; }

case $PWD in
    *:* | *\$*) fail "Python's own tools can't work below a path with a colon or a dollar sign: $PWD" ;;
esac

# --- Python -----------------------------------------------------------------------------------------------------

find_python() {
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed. Install it, or set PYTHON to where it is."
}

# --- Debian packages --------------------------------------------------------------------------------------------

missing_packages() {
    python=$1
    while read -r program package; do
        have "$program" || echo "$package"
    done <<-EOF
	ffmpeg ffmpeg
	ffprobe ffmpeg
	rabbitmq-server rabbitmq-server
	epmd erlang-base
	nginx nginx
	setpriv util-linux
	bwrap bubblewrap
	node nodejs
	npm npm
	EOF
    if [ "$mode" != run ]; then
        have chromium || echo chromium
        have promtool || echo prometheus
        have amtool || echo prometheus-alertmanager
        have envsubst || echo gettext-base
        have curl || echo curl
        have jq || echo jq
        ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || echo postgresql
    fi
    # Debian's Python comes without these two; the package is named after the version unless it is the default one.
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        case $python in
            */python3) echo python3-venv ;;
            *) echo "${python##*/}-venv" ;;
        esac
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Packages must not start system services: this project runs private ones. Debian asks policy-rc.d before each
# start; ours says no and is removed at the end, whatever happens. An existing one is somebody's decision and stays.
install_packages() {
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e "$policy" ]; then
        ours=yes
        trap 'as_root rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM HUP
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
    fi
    as_root apt-get -q update -o DPkg::Lock::Timeout=300 || say "apt-get update failed; trying with what it knows"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" || fail "apt-get could not install: $*"
    # Nor may the ones that were installed here start at the next boot.
    for package in "$@"; do
        case $package in
            rabbitmq-server | nginx | postgresql | prometheus) as_root systemctl disable "$package" >/dev/null 2>&1 || true ;;
        esac
    done
    if [ -n "$ours" ]; then
        as_root rm -f "$policy"
        trap - EXIT INT TERM HUP
    fi
}

ensure_packages() {
    packages=$(missing_packages "$1" | sort -u)
    [ -n "$packages" ] || return 0
    say "Installing from Debian:" $packages
    have apt-get || fail "This is no Debian. Install yourself what corresponds to:" $packages
    if [ "$(id -u)" != 0 ] && ! have sudo; then
        fail "Neither root nor sudo here. As root, run: apt-get install" $packages
    fi
    # shellcheck disable=SC2086 # a list of words
    install_packages $packages
}

# --- Python packages --------------------------------------------------------------------------------------------

ensure_venv() {
    python=$1
    if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
        say "Making .venv with $python"
        "$python" -m venv --clear .venv
    fi
    case $mode in
        run) lock=requirements.lock ;;
        *) lock=requirements-$mode.lock ;;
    esac
    sum=$(sha256sum <"$lock")
    stamp=.venv/.installed-$mode
    if [ "$(cat "$stamp" 2>/dev/null)" != "$sum" ]; then
        say "Installing Python packages from $lock"
        # One way to build what comes as source, whatever the age of pip.
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --use-pep517 \
            --require-hashes -r "$lock"
        echo "$sum" >"$stamp"
        # Each lock holds all of the one before it.
        [ "$mode" = run ] || sha256sum <requirements.lock >.venv/.installed-run
        [ "$mode" != bench ] || sha256sum <requirements-dev.lock >.venv/.installed-dev
    fi
}

# --- The page ---------------------------------------------------------------------------------------------------

ensure_page() (
    cd static
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' ||
        fail "Node.js 18 or newer is needed to build the page; found $(node --version)"
    sum=$(cat package.json package-lock.json | sha256sum)
    [ "$mode" = run ] || mode=dev
    if [ "$(cat "node_modules/.installed-$mode" 2>/dev/null)" != "$sum" ]; then
        say "Installing npm packages for the page"
        omit=
        [ "$mode" = dev ] || omit=--omit=dev
        npm ci --silent --no-audit --no-fund --no-update-notifier $omit
        echo "$sum" >"node_modules/.installed-$mode"
        echo "$sum" >node_modules/.installed-run
    fi
    if [ ! -f dist/index.html ] || [ -n "$(find . -path ./node_modules -prune -o -path ./dist -prune -o \
        -type f -newer dist/index.html -print | head -n 1)" ]; then
        say "Building the page"
        npm run --silent build
        touch dist/index.html
    fi
)

python=$(find_python)
ensure_packages "$python"
ensure_venv "$python"
ensure_page
