# shellcheck shell=bash
# What the scripts share: messages, installing what is missing, clean-up on any exit, a registry on
# loopback. Sourced, never run. Relies on bash 5, and on apt-get where something is missing.
# It never installs what is there, and never touches a process or a mount that it did not start.

# The project's top directory.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    say "error: $1"
    shift
    for hint in "$@"; do printf '  hint: %s\n' "$hint" >&2; done
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }

# Prints the running script's usage: the comment block under its first line.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }

# Debian keeps administration programs where a normal user's PATH does not look; cargo from rustup
# is in the home directory even when the shell's profile was not read.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
have cargo || PATH=$PATH:$HOME/.cargo/bin

as_root() {
    if is_root; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "this needs root: $*" "run the command above as root, or install sudo"
    fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 "$@" >&2; }

# need PROGRAM:PACKAGE... : installs the packages whose program is missing. A program given as a path
# is looked for as a file.
need() {
    local pair program missing=()
    for pair in "$@"; do
        program=${pair%%:*}
        case $program in
        /*) [ -e "$program" ] || missing+=("${pair#*:}") ;;
        *) have "$program" || missing+=("${pair#*:}") ;;
        esac
    done
    [ ${#missing[@]} -eq 0 ] && return
    have apt-get || die "missing: ${missing[*]} (Debian's package names), and there is no apt-get here" \
        "install them with this system's package manager and start again"
    say "installing: ${missing[*]}"
    apt_get install --no-install-recommends "${missing[@]}" ||
        { apt_get update && apt_get install --no-install-recommends "${missing[@]}"; } ||
        die "could not install: ${missing[*]}"
}

# A cargo that is new enough for Cargo.toml, and the C compiler and headers that some crates build with.
need_cargo() {
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$top/Cargo.toml")
    have cargo || die "cargo is missing (Rust $wanted or newer)" \
        "curl -sSf https://sh.rustup.rs | sh    (https://rustup.rs), then start again"
    found=$(cargo --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
        die "cargo $found is too old, Rust $wanted or newer is needed" \
            "rustup update stable    (or get rustup: https://rustup.rs)"
    need cc:gcc /usr/include/stdio.h:libc6-dev
}

# Sets SHALE to the binary: the one in $SHALE, or a release build of this tree.
build_shale() {
    if [ -z "${SHALE:-}" ]; then
        need_cargo
        say "building (cargo build --release)"
        (cd "$top" && cargo build --release --locked --quiet --bin shale)
        SHALE=${CARGO_TARGET_DIR:-$top/target}/release/shale
    fi
    [ -x "$SHALE" ] || die "$SHALE is not an executable file"
    SHALE=$(realpath "$SHALE")
}

# on_exit COMMAND... : runs it when the script ends, however it ends; the last one registered first.
exit_commands=()
on_exit() { exit_commands+=("$(printf '%q ' "$@")"); }
run_exit_commands() {
    local status=$? i
    trap - EXIT INT TERM HUP
    set +e
    for ((i = ${#exit_commands[@]} - 1; i >= 0; i--)); do eval "${exit_commands[i]}"; done
    exit "$status"
}
trap run_exit_commands EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Sets `work` to a new private directory that goes away at the end, never across a mount.
make_work() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/shale-${0##*/}.XXXXXX")
    on_exit rm -rf --one-file-system "$work"
}

is_mounted() { grep -qF " ${1// /\\040} " /proc/self/mountinfo; }

# unmount DIR: gently if a server answers, lazily if not; nothing when it is not mounted.
unmount() {
    is_mounted "$1" || return 0
    umount "$1" 2>/dev/null || fusermount3 -u "$1" 2>/dev/null ||
        umount -l "$1" 2>/dev/null || fusermount3 -uz "$1"
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Sets `port` to a loopback port that nobody listens on.
free_port() {
    local tries
    for tries in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        port_is_taken "$port" || return 0
    done
    die "found no free port in $tries tries"
}

# start_registry DIR: a docker-registry on loopback that keeps its blobs in DIR and dies with the
# script. Sets `registry` to HOST:PORT.
start_registry() {
    local dir=$1 pid tries
    need docker-registry:docker-registry
    free_port
    mkdir -p "$dir"
    cat >"$dir/config.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $dir/data}}
http: {addr: "127.0.0.1:$port"}
END
    docker-registry serve "$dir/config.yml" >"$dir/log" 2>&1 &
    pid=$!
    on_exit stop_process "$pid"
    for tries in {1..100}; do
        if port_is_taken "$port"; then
            # shellcheck disable=SC2034 # for the script that sources this
            registry=127.0.0.1:$port
            return 0
        fi
        kill -0 "$pid" 2>/dev/null || die "docker-registry ended: $(tail -n 3 "$dir/log")"
        sleep 0.1
    done
    die "docker-registry does not answer after $((tries / 10)) s: $(tail -n 3 "$dir/log")"
}

stop_process() {
    kill "$1" 2>/dev/null && wait "$1" 2>/dev/null
    return 0
}
