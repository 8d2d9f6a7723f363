// Package tui is the dashboard: every key of a store in a terminal, live, with a
// filter, the whole of one key beside the list, a form that issues and edits, dialogs
// that rotate, disable, enable and revoke, and the audit log of all that.
//
// [Run] shows it on a terminal and returns when the user leaves; [CheckTerminal]
// tells beforehand whether there is one. [New] is the bare Bubble Tea model, for
// tests and for whoever brings a program of their own. All of them need no more than
// a [admin.Manager], so that a store on this machine and one behind a server look and
// behave alike.
//
// # How it is built
//
// A file is a room: table.go, detail.go, form.go, secret.go, dialog.go, help.go, audit.go; what
// the dialog asks about is in revoke.go, disable.go, rotate.go and edit.go.
// Update is pure: it changes the model and returns commands, and every command that
// waits for a store, a clock or the clipboard is in commands.go. Bindings are defined
// once, in keys.go, together with their help. The clock is asked once per message.
//
// # What it refuses
//
// It holds no rule about keys: what may be typed is decided by package keys, and its
// words are shown. It changes nothing that was not asked about first, and offers no
// change to an admin key that may only look. It keeps a new secret for as long as its
// screen is open and not an instant longer, writes no log, and asks for no debug
// trace, which would hold the screen. A secret that was typed or pasted into the wrong
// field is masked. Nothing is told by colour alone.
package tui
