#!/usr/bin/env bash
# The dashboard end to end, in a real terminal: a key is issued there, keyctl accepts
# its secret, it is filtered to and revoked, keyctl refuses it, and afterwards the
# secret is nowhere in the terminal. Needs tmux (Debian: apt-get install tmux).
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v tmux >/dev/null || { echo 'this needs tmux (Debian: apt-get install tmux)' >&2; exit 1; }
. e2e/tui/terminal.sh
build_keyctl

code() { if "$@" >"$dir/out" 2>"$dir/err"; then echo 0; else echo $?; fi; }
verify() { printf '%s' "$1" | keyctl verify - --scope tools:get_forecast; }

# issue_in_tui fills the form and sets $secret from the screen.
issue_in_tui() {
	press n
	shows 'Issue a key'
	type_text "$1"
	press Enter
	type_text team-x
	press Enter Enter
	type_text 'get_* search'
	shows 'grants: tools:get_* tools:search'
	press C-s
	shows 'This is its secret'
	secret=$(screen | grep -oE 'mcpk_[0-9A-Za-z]{12}_[0-9A-Za-z]{36}') || fail 'no secret on the screen'
}

keyctl init >/dev/null
keyctl issue ci --owner platform --tool get_forecast >/dev/null 2>&1

echo '== without a terminal it says what to use instead'
[ "$(code keyctl tui </dev/null)" = 1 ] || fail 'without a terminal: want exit 1'
grep -q 'needs a terminal; use `keyctl list`' "$dir/err" || fail "without a terminal: $(cat "$dir/err")"

echo '== first frame on a terminal that answers nothing'
# first_frame sets $took to milliseconds, from the start of the process.
first_frame() {
	rm -f "$dir/hands" "$dir/silent"
	mkfifo "$dir/hands"
	sleep 60 >"$dir/hands" &
	hands=$!
	began=$(date +%s%N)
	script -qfec 'stty rows 24 cols 80; exec keyctl tui' "$dir/silent" <"$dir/hands" >/dev/null 2>&1 &
	silent=$!
	until grep -qa 'mcpkeys' "$dir/silent" 2>/dev/null; do
		[ $(($(date +%s%N) - began)) -lt 5000000000 ] || fail 'no frame in 5 s'
		sleep 0.005
	done
	took=$((($(date +%s%N) - began) / 1000000))
	kill $hands $silent 2>/dev/null || true
	wait $hands $silent 2>/dev/null || true
}
best=9999 # of twenty at the most: a program that waits does so each time, a busy machine does not
for _ in $(seq 20); do
	first_frame
	[ "$took" -ge "$best" ] || best=$took
	[ "$best" -ge 200 ] || break
done
echo "   $best ms, from the start of the process"
[ "$best" -lt 200 ] || fail "the first frame took $best ms"

echo '== issue, verify, filter, revoke'
terminal_open 80 24 'keyctl tui'
shows platform
issue_in_tui mobile
[ "$(verify "$secret")" = valid ] || fail 'keyctl does not accept the secret on the screen'
press c
shows 'Sent to the clipboard'
[ "$(tm show-buffer)" = "$secret" ] || fail 'the clipboard does not hold the secret'
tm delete-buffer
sleep 0.5 # presses right behind the form's enter do not count
press Enter
shows 'Have you stored it?'
sleep 0.5
press Enter
shows 'issued team-x/mobile'
screen | grep -qF "${secret:18}" && fail 'the secret is still on the screen'
press /
type_text mobile
press Enter
shows '1 of 2'
press x
shows 'Revoke this key?'
says_yes_to '✗ revoked   mobile'
shows '✗ revoked   mobile'
[ "$(code verify "$secret")" = 3 ] || fail 'a revoked key: want exit 3'
grep -qx revoked "$dir/out" || fail "a revoked key: $(cat "$dir/out")"
press q
shows 'left with 0'
scrollback | grep -q before || fail 'the scrollback lost what was there before'
scrollback | grep -qF "${secret:18:12}" && fail 'the secret is in the scrollback'

echo '== stopped from outside while a secret shows'
terminal_open 80 24 'sh -c "echo \$\$ >pid; exec keyctl tui"'
shows platform
issue_in_tui stopped
kill -TERM "$(cat "$dir/pid")"
shows 'left with 0'
[ "$(tm display-message -p -t e2e '#{alternate_on} #{cursor_flag} #{mouse_any_flag}')" = '0 1 0' ] || fail 'the terminal was not restored'
scrollback | grep -qF "${secret:18:12}" && fail 'the secret is in the scrollback'

echo '== every size while it runs'
terminal_open 120 40 'keyctl tui --read-only'
shows 'read-only'
for size in '60 16' '59 16' '80 24' '110 30' '200 50' '30 5' '120 40'; do
	set -- $size
	tm resize-window -t e2e -x "$1" -y "$2"
	if [ "$1" -lt 60 ]; then shows 'too small'; else shows 'mobile'; fi
done
press q
shows 'left with 0'

grep -raqF "${secret:18}" "$dir"/keys.db* && fail 'the secret is in the store'
echo 'ok: the dashboard, end to end'
