#!/usr/bin/env bash
# Makes docs/tui.png: the dashboard in a real terminal, on a scratch store whose keys
# are issued by keyctl. Needs tmux, aha, chromium and optipng (all in Debian).
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in tmux aha chromium optipng; do
	command -v $tool >/dev/null || { echo "this needs $tool (Debian: apt-get install $tool)" >&2; exit 1; }
done
. e2e/tui/terminal.sh
build_keyctl
columns=128 rows=26

cd "$dir"
export KEYCTL_DB=keys.db
keyctl init >/dev/null
new() { keyctl issue "$@" >/dev/null 2>&1; }
new old-ci --owner platform --tool get_forecast
new nightly-report --owner data-team --tool get_forecast --tool get_history --audience weather --expires 9d
new root --admin --owner platform --expires 365d
new grafana --owner observability --tool 'get_*' --audience weather --expires 60d
new oncall-bot --owner sre --tool 'get_*' --tool page_oncall --audience incidents --rate 60/m
new cursor --owner bob --tool 'get_*' --tool list_stations --audience weather
new billing-export --owner finance --tool export_usage --audience billing --expires 5d
new claude-desktop --owner alice --tool 'get_*' --tool list_stations --prompt daily_briefing \
	--resource 'docs://*' --audience weather --audience incidents --rate 120/m --allow-ip 10.0.0.0/8 --meta ticket=OPS-17
new ci --owner platform --tool 'get_*' --tool 'list_*' --audience weather --expires 30d
keyctl revoke old-ci --yes --reason 'replaced by ci' >/dev/null
cd - >/dev/null

terminal_open $columns $rows 'keyctl tui'
shows old-ci
press Down
shows '▸ ● active    claude'
shows 'ticket=OPS-17'
tm capture-pane -e -p -t e2e >"$dir/screen"
{
	printf '%s\n' '<!doctype html><meta charset="utf-8"><body style="margin:0;background:#11141b;color:#d8dce6">' \
		'<pre style="margin:14px;font:16px/20px DejaVu Sans Mono,monospace">'
	aha --no-header <"$dir/screen"
} >"$dir/screen.html"
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
	--disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$dir/chromium" \
	--window-size=$((columns * 10)),$((rows * 20 + 28)) --screenshot="$dir/tui.png" "$dir/screen.html" >/dev/null 2>&1
optipng -quiet -strip all "$dir/tui.png"
mkdir -p docs
mv "$dir/tui.png" docs/tui.png
ls -l docs/tui.png
