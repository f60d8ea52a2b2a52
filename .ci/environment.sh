# Sourced by the other scripts: fresh environments, in a temporary folder that is deleted at the end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
environments=$(mktemp -d)
trap 'rm -rf "$environments"' EXIT

find_python() { # find_python VERSION: prints an interpreter of that version, or fails
    for python in "python$1" python3 "$(pyenv prefix "$(pyenv latest "$1" 2>/dev/null)" 2>/dev/null)/bin/python3"; do
        if "$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    echo "Python $1 is needed, and there is none here" >&2
    return 1
}

fresh() { # fresh VERSION: makes an environment of that version of Python and enters it
    local python
    python=$(find_python "$1")
    "$python" -m venv "$environments/$1"
    # shellcheck disable=SC1091
    source "$environments/$1/bin/activate"
}

readme_command() { # readme_command "laya train": prints the README's line that ends in it, without its comment
    grep -F "&& $1" README.md | head -1 | sed 's/ *#.*//'
}
