package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"time"

	"github.com/mcpkeys/mcpkeys/internal/dev/bench"
)

var errUsage = errors.New("say what to run: table, check, remote, http, answers, guard, nginx or peers (see the Makefile)")

// checkKeys is how many keys the check makes for VerifyMiss: enough that SQLite's tree has as
// many levels as with a million.
const checkKeys = 50_000

type settings struct {
	keys    int
	only    *regexp.Regexp
	effort  bench.Effort
	runs    int
	seconds time.Duration
}

func run(ctx context.Context, args []string) error {
	var s settings
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&s.keys, "keys", 1_000_000, "how many keys the store of VerifyMiss holds")
	only := f.String("only", "", "a regular expression; table and check measure the cases whose name it matches")
	f.IntVar(&s.effort.Rounds, "rounds", 25, "how often subject and floor take turns in the table")
	f.DurationVar(&s.effort.Slice, "slice", 20*time.Millisecond, "how long a turn is")
	f.IntVar(&s.runs, "runs", 5, "how often the servers of http take turns")
	f.DurationVar(&s.seconds, "for", 3*time.Second, "how long a server of http is loaded in a turn")
	if err := f.Parse(args); err != nil {
		return err
	}
	var err error
	if s.only, err = regexp.Compile(*only); err != nil {
		return err
	}
	switch f.Arg(0) {
	case "table":
		return table(ctx, s)
	case "check":
		return check(ctx, s)
	case "remote":
		return spread(ctx)
	case "http":
		return loopback(ctx, s)
	case "answers":
		return answers(ctx, s)
	case "guard":
		return guardProxy(ctx, s)
	case "nginx":
		return nginx(ctx, s)
	case "peers":
		return peers(ctx, f.Args()[1:])
	case "load": // what http runs in a second process
		return load(ctx, f.Args()[1:])
	case "idle": // what table and check run in a second process
		return bench.RunIdle(ctx, f.Arg(1), os.Stdin, os.Stdout)
	}
	return errUsage
}

// on prepares the stage in a temporary directory.
func on(ctx context.Context, size int, do func(*bench.Stage) error) error {
	dir, err := os.MkdirTemp("", "mcpkeys-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := bench.Open(ctx, dir, size)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func table(ctx context.Context, set settings) error {
	fmt.Fprintf(os.Stderr, "%s; making %d keys\n", bench.Machine(), set.keys)
	return on(ctx, set.keys, func(s *bench.Stage) error {
		cases, err := s.Cases(ctx)
		if err != nil {
			return err
		}
		results, err := bench.MeasureAll(cases, set.only.MatchString, set.effort)
		if err != nil {
			return err
		}
		if err := bench.Print(os.Stdout, results); err != nil {
			return err
		}
		return bench.PrintFigures(ctx, os.Stdout, s.Figures(self(ctx)), set.only.MatchString)
	})
}

func check(ctx context.Context, set settings) error {
	return on(ctx, checkKeys, func(s *bench.Stage) error {
		cases, err := s.Cases(ctx)
		if err != nil {
			return err
		}
		err = errors.Join(bench.Check(os.Stdout, cases, set.only.MatchString),
			bench.CheckFigures(ctx, os.Stdout, s.Figures(self(ctx)), set.only.MatchString))
		if set.only.MatchString("Loopback") {
			err = errors.Join(err, checkLoopback(ctx, s), checkAnswers(ctx, s))
		}
		return err
	})
}

func checkLoopback(ctx context.Context, s *bench.Stage) error {
	pairs, err := s.Loopback(ctx, loader(ctx, time.Second/2), 7)
	if err != nil {
		return err
	}
	bench.PrintPairs(os.Stdout, pairs)
	return bench.KeptPairs(pairs)
}

// checkAnswers tries once more before it reports a broken promise.
func checkAnswers(ctx context.Context, s *bench.Stage) (broken error) {
	for range 2 {
		all, err := s.Answers(ctx, loader(ctx, time.Second/2), 3, func(_ string, promised bool) bool { return promised })
		if err != nil {
			return err
		}
		bench.PrintAnswers(os.Stdout, all)
		if broken = bench.KeptAnswers(all); broken == nil {
			return nil
		}
	}
	return broken
}

// spread measures a server with 100 verifiers and with 1,000.
func spread(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, bench.Machine())
	return on(ctx, 0, func(s *bench.Stage) error {
		for _, of := range []struct{ verifiers, revokes int }{{100, 300}, {1000, 0}} {
			result, err := s.Spread(ctx, of.verifiers, of.revokes)
			if err != nil {
				return err
			}
			bench.PrintSpread(os.Stdout, []bench.Spread{result})
		}
		return nil
	})
}

func loopback(ctx context.Context, set settings) error {
	fmt.Fprintln(os.Stderr, bench.Machine())
	return on(ctx, 0, func(s *bench.Stage) error {
		pairs, err := s.Loopback(ctx, loader(ctx, set.seconds), set.runs)
		if err != nil {
			return err
		}
		bench.PrintPairs(os.Stdout, pairs)
		return nil
	})
}

func answers(ctx context.Context, set settings) error {
	fmt.Fprintln(os.Stderr, bench.Machine())
	return on(ctx, 0, func(s *bench.Stage) error {
		all, err := s.Answers(ctx, loader(ctx, set.seconds), set.runs, func(question string, _ bool) bool { return set.only.MatchString(question) })
		if err != nil {
			return err
		}
		bench.PrintAnswers(os.Stdout, all)
		return nil
	})
}

func guardProxy(ctx context.Context, set settings) error {
	fmt.Fprintln(os.Stderr, bench.Machine())
	return on(ctx, 0, func(s *bench.Stage) error {
		pairs, err := s.GuardProxy(ctx, loader(ctx, set.seconds), set.runs)
		if err != nil {
			return err
		}
		bench.PrintGuardProxy(os.Stdout, pairs)
		return nil
	})
}

func nginx(ctx context.Context, set settings) error {
	fmt.Fprintln(os.Stderr, bench.Machine())
	return on(ctx, 0, func(s *bench.Stage) error {
		pairs, err := s.Nginx(ctx, loader(ctx, set.seconds), set.runs)
		if err != nil {
			return err
		}
		bench.PrintNginx(os.Stdout, pairs)
		return nil
	})
}

// peersKeys is how many keys VerifyMiss uses beside a peer: more than the verifier remembers,
// and few enough that both databases are in memory.
const peersKeys = 10_000

func peers(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("peers: say which node runs which program; make bench-peers does")
	}
	fmt.Fprintln(os.Stderr, bench.Machine())
	return on(ctx, peersKeys, func(s *bench.Stage) error {
		dir, err := os.MkdirTemp("", "mcpkeys-peer-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		node := exec.CommandContext(ctx, args[0], "--disable-warning=ExperimentalWarning", args[1], dir)
		list, err := s.Peers(ctx, node, 5, 2*time.Second)
		if err != nil {
			return err
		}
		bench.PrintPeers(os.Stdout, list)
		return nil
	})
}

// loader runs this program again, as the client, on one processor.
func loader(ctx context.Context, d time.Duration) bench.Client {
	return func(addr string, request []byte) *exec.Cmd {
		c := self(ctx)("load", addr, d.String())
		c.Env = append(os.Environ(), "GOMAXPROCS=1", requestVariable+"="+string(request))
		return c
	}
}

// self runs this program again.
func self(ctx context.Context) bench.Child {
	return func(args ...string) *exec.Cmd {
		path, err := os.Executable()
		if err != nil {
			path = os.Args[0]
		}
		return exec.CommandContext(ctx, path, args...)
	}
}

const requestVariable = "MCPKEYS_BENCH_REQUEST"

func load(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	d, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	l, err := bench.Loader{Addr: args[0], Request: []byte(os.Getenv(requestVariable)), Conns: 16, For: d}.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(l)
}
