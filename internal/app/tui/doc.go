// Package tui is the dashboard: all keys of a store in a terminal, kept up to date, with a
// filter, the details of one key, a form that issues and edits, dialogs that rotate, disable,
// enable and revoke, and the audit log.
//
// [Run] shows it on a terminal and returns when the user leaves; call [CheckTerminal] first to
// find out whether there is a terminal. [New] returns the Bubble Tea model, for tests and for
// other programs. All of them need only an [admin.Manager], so a store on this machine and one
// behind a server look and behave alike.
//
// # How it is built
//
// Each screen has a file: table.go, detail.go, form.go, secret.go, dialog.go, help.go,
// audit.go. The questions of the dialogs are in revoke.go, disable.go, rotate.go and edit.go.
// Update does not wait: it changes the model and returns commands. Each command that waits for
// a store, a clock or the clipboard is in commands.go. Key bindings are defined once, in
// keys.go, with their help. The clock is read once per message.
//
// # What it refuses
//
// It holds no rule about keys: package keys decides what is valid, and its messages are shown.
// It asks before each change, and offers no change to an admin key that may only read. It keeps
// a new secret only while its screen is open, writes no log, and turns off debug traces, which
// would hold the screen. A secret that is typed or pasted into a wrong field is masked. Nothing
// is shown by colour alone.
package tui
