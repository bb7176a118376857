# shellcheck shell=bash
# Shared by the scripts here (sourced, not run): where things are, and how to act as the postgres user.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

# shellcheck disable=SC2034  # the scripts that source this file use it
PGRX_VERSION=0.18.1
: "${PG_CONFIG:=/usr/lib/postgresql/15/bin/pg_config}"
: "${CARGO_TARGET_DIR:=$PWD/target}"
export PG_CONFIG CARGO_TARGET_DIR
# A shell that was open while rustup ran does not know cargo yet.
command -v cargo >/dev/null || PATH="$HOME/.cargo/bin:$PATH"

die() {
    printf '%s\n' "$@" >&2
    exit 1
}

# Prints a progress line.
say() {
    printf '== %s ==\n' "$*" >&2
}

# The cargo feature of PG_CONFIG's major version: pg15 … pg18.
pg_feature() {
    local version
    version=$("$PG_CONFIG" --version) || die "cannot run PG_CONFIG=$PG_CONFIG"
    if [[ $version =~ ^PostgreSQL\ (15|16|17|18)[^0-9] ]]; then
        echo "pg${BASH_REMATCH[1]}"
    else
        die "$PG_CONFIG is $version; workflow_engine supports PostgreSQL 15 to 18"
    fi
}

# Runs a command as the user who may run a server: postgres when we are root (a server refuses to run as root).
as_postgres() {
    if [ "$UID" -eq 0 ]; then
        (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$@")
    else
        "$@"
    fi
}

# True when extension files can be copied into PG_CONFIG's directories without sudo.
may_install() {
    [ -w "$("$PG_CONFIG" --pkglibdir)" ] && [ -w "$("$PG_CONFIG" --sharedir)/extension" ]
}

# Runs a command as root, with sudo unless we are root.
as_root() {
    if [ "$UID" -eq 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || die "cannot become root for: $*" "Run it as root, then try again."
        sudo "$@"
    fi
}

# Installs those of these Debian packages that are missing; silent when none is.
need_packages() {
    local package missing=()
    for package in "$@"; do
        [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "install ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Points pgrx at PG_CONFIG. Settings in ~/.pgrx that name the same server are used; settings that name another one are
# left alone, and ours then live in the target directory. Prints nothing unless pgrx has to be set up.
use_pgrx() {
    local feature home
    feature=$(pg_feature)
    for home in "${PGRX_HOME:-$HOME/.pgrx}" "$CARGO_TARGET_DIR/pgrx-$feature"; do
        export PGRX_HOME=$home
        case $(pgrx_bindir "$feature") in
            "$("$PG_CONFIG" --bindir)") return ;;
            "") break ;;
        esac
    done
    say "set up pgrx for $("$PG_CONFIG" --version)"
    mkdir -p "$PGRX_HOME"
    cargo pgrx init "--$feature" "$PG_CONFIG" >&2
}

# The bin directory of the server that PGRX_HOME names for a feature; nothing if it names none that exists.
pgrx_bindir() {
    local named
    named=$(sed -n "s/^$1 *= *\"\(.*\)\"/\1/p" "$PGRX_HOME/config.toml" 2>/dev/null) || return 0
    [ -x "$named" ] || return 0
    "$named" --bindir
}

# Runs cargo pgrx. Compiling reports on stderr; what pgrx itself says on stdout is of use only when it fails.
run_pgrx() {
    local log status=0
    log=$(mktemp)
    cargo pgrx "$@" >"$log" || status=$?
    [ $status -eq 0 ] || cat "$log" >&2
    rm -f "$log"
    return $status
}

# Runs a command that starts servers of its own. They live in TMPDIR: a folder that the postgres user may enter, which
# the checkout need not be, and that goes away afterwards, with the servers of a command that was killed.
with_test_folder() {
    TEST_FOLDER=$(mktemp -d /tmp/workflow_engine-test.XXXXXX)
    chmod 1777 "$TEST_FOLDER"
    trap remove_test_folder EXIT
    trap 'exit 130' INT TERM
    TMPDIR=$TEST_FOLDER "$@"
}

remove_test_folder() {
    local pid_file
    while IFS= read -r pid_file; do
        as_postgres "$("$PG_CONFIG" --bindir)/pg_ctl" stop -s -m immediate -D "$(dirname "$pid_file")" || true
    done < <(find "$TEST_FOLDER" -maxdepth 4 -name postmaster.pid 2>/dev/null)
    rm -rf "$TEST_FOLDER"
}
