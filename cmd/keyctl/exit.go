package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/mcpkeys/mcpkeys/admin"
	"github.com/mcpkeys/mcpkeys/internal/app/scan"
	"github.com/mcpkeys/mcpkeys/internal/app/wording"
	"github.com/mcpkeys/mcpkeys/keys"
	"github.com/mcpkeys/mcpkeys/keys/feed"
	"github.com/mcpkeys/mcpkeys/store"
	"github.com/mcpkeys/mcpkeys/store/sqlite"
)

// The exit codes, as `keyctl help exit-codes` lists them.
const (
	exitOK        = 0
	exitUsage     = 1
	exitStore     = 2
	exitNotValid  = 3
	exitDenied    = 4
	exitPartial   = 5
	exitNotFound  = 6
	exitConflict  = 7
	exitMayBeLost = 8

	exitInterrupted = 130 // as shells report it
)

// usageError is a wrong command line.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(text string, args ...any) error { return &usageError{fmt.Sprintf(text, args...)} }

// notValidError ends verify when the key is not valid. The code is on standard output;
// there is nothing more to report.
type notValidError struct{ code keys.Code }

func (e *notValidError) Error() string { return string(e.code) }

// partialError says that some of several keys failed.
type partialError struct {
	what   string // what happened to them; follows their number
	failed []failure
}

type failure struct {
	Key     string `json:"key"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *partialError) Error() string {
	return wording.Counted(len(e.failed), "key", "keys") + " " + e.what
}

// outcome is what a script sees of an error: an exit code and a word.
type outcome struct {
	exit int
	code string
}

// outcomes is the table from errors to exit codes. The first row that fits counts; an error
// that fits none is an error of the store.
var outcomes = []struct {
	fits func(error) bool
	outcome
}{
	{isA[*usageError], outcome{exitUsage, "usage"}},
	{isA[*keys.InvalidError], outcome{exitUsage, "invalid_argument"}},
	{isA[*notValidError], outcome{exitNotValid, "not_valid"}},
	{isA[*supersededError], outcome{exitNotValid, "superseded"}},
	{isA[*partialError], outcome{exitPartial, "partial"}},
	{isA[*auditError], outcome{exitStore, "audit_broken"}},
	{isPartialImport, outcome{exitPartial, "partial"}},
	{isA[*importError], outcome{exitUsage, "invalid_argument"}},
	{isA[*foundError], outcome{exitPartial, "found"}},
	{isA[*unsoundError], outcome{exitStore, "unsound"}},
	{isUnannounced, outcome{exitStore, "not_announced"}},
	{isA[*store.WrittenError], outcome{exitStore, "unfinished"}},
	{isA[*store.MayBeLostError], outcome{exitMayBeLost, "may_be_lost"}},
	{isA[*feed.AlteredError], outcome{exitStore, "store_altered"}},
	{is(context.Canceled), outcome{exitInterrupted, "interrupted"}},
	{is(keys.ErrDenied), outcome{exitDenied, "denied"}},
	{is(keys.ErrNotFound), outcome{exitNotFound, "not_found"}},
	{is(keys.ErrVersion), outcome{exitConflict, "precondition_failed"}},
	{is(keys.ErrConflict), outcome{exitConflict, "conflict"}},
	{is(fs.ErrExist), outcome{exitConflict, "conflict"}},
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isA[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func isUnannounced(err error) bool {
	var written *store.WrittenError
	return errors.As(err, &written) && written.Unannounced
}

func outcomeOf(err error) outcome {
	if err == nil {
		return outcome{exitOK, ""}
	}
	for _, row := range outcomes {
		if row.fits(err) {
			return row.outcome
		}
	}
	return outcome{exitStore, "unavailable"}
}

// report prints err to standard error and returns the exit code.
func (a *app) report(err error, asJSON bool) int {
	o := outcomeOf(err)
	switch {
	case err == nil || isA[*notValidError](err) || isA[*foundError](err) || isA[*unsoundError](err):
	case asJSON:
		a.reportJSON(err, o)
	default:
		a.say("%s", a.folded(a.name()+": "+scan.Masked(a.hinted(a.typed(err)))))
		a.reportDetail(err)
	}
	return o.exit
}

// folded breaks a sentence between words to fit the terminal.
func (a *app) folded(text string) string {
	if !isTerminal(a.stderr) {
		return text
	}
	return strings.Join(wrap(text, a.width(a.stderr)-1), "\n  ")
}

// sentence renders err on one line, without control characters and secrets: a path in it may
// be a secret that was pasted instead of a path, or the name of a file may contain one.
func sentence(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	text := err.Error()
	for _, tail := range []error{fs.ErrExist, fs.ErrNotExist, fs.ErrPermission} { // the sentence already says it in words
		text = strings.TrimSuffix(text, ": "+tail.Error())
	}
	return scan.Masked(wording.Clean(strings.ReplaceAll(text, "\n", "; ")))
}

// typed is the sentence of err with each field by the name that the user typed: --rate, not
// rate_limit.
func (a *app) typed(err error) string {
	text := sentence(err)
	for _, fault := range keys.Faults(err) {
		if name := a.flagOf(fault.Field); name != "" {
			text = strings.ReplaceAll(text, fault.Error(), name+" "+fault.Reason)
		}
	}
	return text
}

// otherNames are the names of fields that no single flag sets.
var otherNames = map[string]string{
	"backup":      "FILE", // of restore
	"certificate": "--tls-cert and --tls-key",
	"edit":        "edit", // the command itself
}

// flagNames are the flags for a field whose name is not that of its flag.
var flagNames = map[string][]string{
	"scopes":      {"scope", "tool", "prompt", "resource", "add-scope", "remove-scope"},
	"rate_limit":  {"rate"},
	"allowed_ips": {"allow-ip"},
	"metadata":    {"meta"},

	"trusted_proxies": {"trusted-proxy"},
}

// flagOf returns what the user typed for a field, or "" if no flag of the command fits.
func (a *app) flagOf(field string) string {
	switch {
	case otherNames[field] != "":
		return otherNames[field]
	case strings.HasPrefix(field, "KEYCTL_"): // a variable has no other name
		return field
	case a.ran == nil:
		return ""
	case field == "name" && a.ran.Name() == "issue":
		return "NAME"
	case field == "server" && !a.ran.Flags().Changed("server"):
		return "KEYCTL_SERVER"
	case field == "server_user" && !a.ran.Flags().Changed("server-user"):
		return "KEYCTL_SERVER_USER"
	}
	var given []string
	for _, name := range append(flagNames[field], strings.NewReplacer("_", "-", " ", "-").Replace(field)) {
		if f := a.ran.Flags().Lookup(name); f != nil && (f.Changed || f.Name == "listen" || a.ran.Name() == "guard" && field == "user" && !a.ran.Flags().Changed("config")) {
			given = append(given, "--"+name)
		}
	}
	return strings.Join(given, " or ")
}

// reportDetail lists what does not fit the sentence: the keys that match a reference, and
// which of several keys failed.
func (a *app) reportDetail(err error) {
	var ambiguous *admin.AmbiguousError
	if errors.As(err, &ambiguous) {
		for _, k := range ambiguous.Candidates {
			a.say("  %s  %s  (%s)", k.ID, wording.Clean(k.Label()), k.Status(a.now()))
		}
	}
	var needed *store.PepperNeededError
	if errors.As(err, &needed) {
		for _, k := range needed.Keys {
			a.say("  %s  %s  (%s)", wording.Clean(k.ID), wording.Clean(k.Label()), k.Status(a.now()))
		}
		if more := needed.Count - len(needed.Keys); more > 0 {
			a.say("  … and %d more", more)
		}
	}
	var partial *partialError
	if errors.As(err, &partial) {
		for _, f := range partial.failed {
			a.say("  %s: %s", f.Key, f.Message)
		}
	}
	var audit *auditError
	if errors.As(err, &audit) {
		for _, line := range audit.lines() {
			a.say("  %s", line)
		}
	}
	var pepper *sqlite.PepperLineError
	if errors.As(err, &pepper) {
		a.say("%s", pepper.Line) // on a line of its own, so that it can be copied
	}
	a.reportRefused(err)
}

type errorJSON struct {
	Code       string      `json:"code"`
	Message    string      `json:"message"`
	Candidates []candidate `json:"candidates,omitempty"`
	Failed     []failure   `json:"failed,omitempty"`
	Faults     []faultJSON `json:"faults,omitempty"`
}

type candidate struct {
	ID     string      `json:"id"`
	Name   string      `json:"name"`
	Owner  string      `json:"owner"`
	Status keys.Status `json:"status"`
}

func (a *app) reportJSON(err error, o outcome) {
	e := errorJSON{Code: o.code, Message: scan.Masked(a.hinted(a.typed(err)))}
	var ambiguous *admin.AmbiguousError
	if errors.As(err, &ambiguous) {
		for _, k := range ambiguous.Candidates {
			e.Candidates = append(e.Candidates, candidate{k.ID, k.Name, k.Owner, k.Status(a.now())})
		}
	}
	var needed *store.PepperNeededError
	if errors.As(err, &needed) {
		for _, k := range needed.Keys {
			e.Candidates = append(e.Candidates, candidate{k.ID, k.Name, k.Owner, k.Status(a.now())})
		}
	}
	var partial *partialError
	if errors.As(err, &partial) {
		e.Failed = partial.failed
	}
	var audit *auditError
	if errors.As(err, &audit) {
		e.Faults = audit.faults()
	}
	var refused *importError
	if errors.As(err, &refused) {
		e.Failed = refused.refused
	}
	text, _ := json.Marshal(map[string]errorJSON{"error": e}) // texts only: cannot fail
	a.say("%s", text)
}
