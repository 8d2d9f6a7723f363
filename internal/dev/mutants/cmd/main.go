// Command cmd runs the mutants of package mutants; it is not part of the product. It exits with
// 1 if a break survives, and refuses a list that does not match the tree. Run it with make:
// make mutants, make mutants-sample.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpkeys/mcpkeys/internal/dev/mutants"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	sample := flag.Int("sample", 0, "run so many, other ones with each commit; 0 runs all")
	only := flag.String("only", "", "run those whose name or file matches this pattern")
	flag.Parse()
	list, err := mutants.List()
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	list = slices.DeleteFunc(list, func(m mutants.Mutant) bool { return !pattern.MatchString(m.Name + " " + m.File) })
	if len(list) == 0 {
		return fmt.Errorf("-only %s: no mutant has that in its name or file", *only)
	}
	if *sample > 0 {
		turn, err := commits(ctx)
		if err != nil {
			return err
		}
		list = mutants.Sample(list, *sample, turn)
	}
	return mutants.Run(ctx, ".", list, os.Stdout)
}

// commits counts the commits of the tree: a number that moves on with each of them.
func commits(ctx context.Context) (int, error) {
	out, err := exec.CommandContext(ctx, "git", "rev-list", "--count", "HEAD").Output()
	if err != nil {
		return 0, fmt.Errorf("count the commits: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
}
