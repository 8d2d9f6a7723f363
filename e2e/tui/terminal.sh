# A terminal to drive from a script: tmux on a socket of its own, without anybody's
# settings. Source it, call `terminal_open COLUMNS ROWS COMMAND`, then type, press and
# look. Everything lives in $dir and ends with the script.

dir=$(mktemp -d)
export TMUX='' TERM=xterm-256color COLORTERM=truecolor LC_ALL=C.UTF-8

terminals=0 # each has a server of its own: one that ends would take the next with it
tm() { tmux -S "$dir/tmux$terminals" -f /dev/null "$@"; }

terminal_close() {
	kill $(jobs -p) 2>/dev/null || true
	tm kill-server 2>/dev/null || true
	rm -rf "$dir"
}
trap terminal_close EXIT

fail() {
	printf 'FAIL: %s\n' "$*" >&2
	tm capture-pane -p -t e2e >&2 2>/dev/null || true
	exit 1
}

# terminal_open runs a command in a fresh terminal, which stays when it ends and then
# shows its exit code.
terminal_open() {
	tm kill-server 2>/dev/null || true
	terminals=$((terminals + 1))
	tm new-session -d -s e2e -x "$1" -y "$2" "cd '$dir' && echo before; $3; echo left with \$?; exec cat"
	tm set-option -g status off
	tm set-option -g default-terminal tmux-256color
	tm set-option -s set-clipboard on
	tm resize-window -t e2e -x "$1" -y "$2"
}

screen() { tm capture-pane -p -t e2e; }

# scrollback is the screen and all that has gone by above it.
scrollback() { tm capture-pane -p -S - -t e2e; }

type_text() { tm send-keys -t e2e -l "$1"; }
press() { tm send-keys -t e2e "$@"; }

# shows waits up to ten seconds for a text.
shows() {
	for _ in $(seq 200); do
		if screen | grep -qF -- "$1"; then return; fi
		sleep 0.05
	done
	fail "the screen never showed: $1"
}

# says_yes_to presses Y, which a dialog heeds once its question could be read, until a text
# shows.
says_yes_to() {
	for _ in $(seq 50); do
		press Y
		sleep 0.2
		if screen | grep -qF -- "$1"; then return; fi
	done
	fail "after Y the screen never showed: $1"
}

# build_keyctl puts keyctl into $dir/bin, first in PATH.
build_keyctl() {
	mkdir -p "$dir/bin"
	go build -o "$dir/bin/keyctl" ./cmd/keyctl
	export PATH="$dir/bin:$PATH" KEYCTL_DB="$dir/keys.db"
	unset KEYCTL_PEPPER_FILE KEYCTL_SERVER NO_COLOR
}
