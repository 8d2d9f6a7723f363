package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// endOnHangup returns a context that ends when the terminal is closed, unless the program
// was started with that signal ignored, as by nohup. After keep it does not end for it any
// more: for a command to which the signal means something else.
func endOnHangup(ctx context.Context) (ending context.Context, keep func()) {
	if signal.Ignored(syscall.SIGHUP) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		<-hangups
		cancel()
	}()
	return ctx, func() { signal.Stop(hangups) }
}

// serverSignals are what signals mean to a server beside the end of its context: SIGHUP is
// a reload, and the second of SIGINT and SIGTERM an abort. After that the signals have
// their usual effect again.
func (e *env) serverSignals() (reload, abort <-chan struct{}, stop func()) {
	hangups, endings := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(hangups, syscall.SIGHUP)
	signal.Notify(endings, os.Interrupt, syscall.SIGTERM)
	if e.keepOnHangup != nil {
		e.keepOnHangup() // not earlier, or the signal would end the program in between
	}
	reloads, aborts, over := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go func() {
		for left := 2; left > 0; {
			select {
			case <-hangups:
				offer(reloads)
			case <-endings:
				left--
			case <-over:
				return
			}
		}
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		close(aborts)
	}()
	return reloads, aborts, func() {
		signal.Stop(hangups)
		signal.Stop(endings)
		close(over)
	}
}

// offer notes that something is to be done, once however often it was asked for.
func offer(todo chan<- struct{}) {
	select {
	case todo <- struct{}{}:
	default:
	}
}
