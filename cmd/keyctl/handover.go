package main

import (
	"github.com/mcpkeys/mcpkeys/internal/wording"
	"github.com/mcpkeys/mcpkeys/keys"
)

// card is what is said around a new secret.
type card struct {
	top, bottom func()
	json        func(secret string) any // the one object that -o json prints; without a secret if it went to a file
}

// handOver shows a secret to its owner: the only place where one leaves the program.
func (a *app) handOver(secret keys.Secret, file *secretFile, c card) error {
	if file != nil {
		if err := file.write(secret.Reveal()); err != nil {
			return err
		}
	}
	if a.output == formatJSON {
		if file != nil {
			return a.printJSON(c.json(""))
		}
		return a.printJSON(c.json(secret.Reveal()))
	}
	c.top()
	switch {
	case file != nil:
		a.say("The secret is in %s (0600). It is written once; only a keyed hash is kept.", wording.Clean(file.path))
	case isTerminal(a.stdout):
		a.say("This is the secret. It is shown once; only a keyed hash is kept.\n")
		if err := a.print("    " + a.bold(a.stdout, secret.Reveal()) + "\n"); err != nil {
			return err
		}
		a.say("")
	default:
		if err := a.print(secret.Reveal() + "\n"); err != nil {
			return err
		}
		a.say("The secret went to standard output, once; only a keyed hash is kept.")
	}
	c.bottom()
	return nil
}
