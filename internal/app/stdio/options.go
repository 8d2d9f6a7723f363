package stdio

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Options of a Backend. Zero values have the defaults that are written beside them.
type Options struct {
	Command []string // the program and its arguments
	Dir     string   // its working directory; that of this process
	Env     []string // NAME passes a variable of this process, NAME=VALUE sets one

	User     string // the name or number of the user that runs the program; needs root
	SameUser bool   // the program runs as the user of this process and can read what that user can

	Logger *slog.Logger // slog.Default()

	MaxChildren int           // processes at a time: 64
	MaxPerKey   int           // processes of one key: 8
	Idle        time.Duration // without request and stream, after which a process is ended: 10 min
	Start       time.Duration // for the answer to initialize or server/discover: 60 s
	StopGrace   time.Duration // between the end of its input and SIGKILL: 5 s
	Stuck       time.Duration // after which a process or a client that reads nothing is given up: 30 s

	MaxRequest int // bytes of a request: 4 MiB
	MaxLine    int // bytes of a line that the program writes: 16 MiB
}

const (
	maxBatch     = 100     // messages in one request
	inputQueue   = 8 << 20 // bytes that wait for a process to read them
	streamQueue  = 1 << 20 // bytes that wait for a client to read them, or one message
	pendingQueue = 1 << 20 // bytes that wait for a stream of their session
)

// complete fills in the defaults and refuses what cannot work.
func (o Options) complete() (Options, error) {
	if len(o.Command) == 0 || o.Command[0] == "" {
		return o, errors.New("the command of the MCP server is missing")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	for _, n := range []struct {
		value *int
		usual int
	}{{&o.MaxChildren, 64}, {&o.MaxPerKey, 8}, {&o.MaxRequest, 4 << 20}, {&o.MaxLine, 16 << 20}} {
		if *n.value <= 0 {
			*n.value = n.usual
		}
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&o.Idle, 10 * time.Minute}, {&o.Start, time.Minute}, {&o.StopGrace, 5 * time.Second}, {&o.Stuck, 30 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	if info, err := os.Stat(o.Dir); o.Dir != "" && (err != nil || !info.IsDir()) {
		return o, fmt.Errorf("directory %s does not exist", o.Dir)
	}
	return o, nil
}

// find looks for the program where it would look for others itself. A path is one from the
// directory of the guard; a name is looked for in the directories of path.
func (o Options) find(path string) (Options, error) {
	name := o.Command[0]
	places := []string{name}
	if !strings.ContainsRune(name, filepath.Separator) {
		places = placesOf(name, path)
	}
	for _, place := range places {
		found, err := exec.LookPath(place) // which has a slash, so the guard's own PATH is not read
		if err != nil {
			continue
		}
		if found, err = filepath.Abs(found); err != nil {
			return o, err
		}
		o.Command = append([]string{found}, o.Command[1:]...)
		return o, nil
	}
	why := "give its path, or add its directory to PATH"
	if o.User != "" {
		why = "give its path, or pass a PATH that has its directory with --env PATH; without that, a program with a user of its own has " + otherPath
	}
	return o, fmt.Errorf("program %s not found: %s", printable([]byte(name), 200), why)
}

// placesOf is where a program of that name can be. Relative entries of PATH mean other directories to
// the guard than to the program, so they are left out.
func placesOf(name, path string) (places []string) {
	for _, dir := range filepath.SplitList(path) {
		if filepath.IsAbs(dir) {
			places = append(places, filepath.Join(dir, name))
		}
	}
	return places
}

// passed returns the variables that Env asks for.
func (o Options) passed() ([]string, error) {
	var out []string
	for _, e := range o.Env {
		name, _, set := strings.Cut(e, "=")
		switch {
		case name == "" || strings.ContainsRune(e, 0):
			return nil, errors.New("a variable for the MCP server needs a name: NAME or NAME=VALUE")
		case strings.HasPrefix(strings.ToUpper(name), "MCPKEYS_"):
			return nil, fmt.Errorf("variable %s is not passed: names that begin with MCPKEYS_ are those of keyctl", name)
		case !set:
			value, ok := os.LookupEnv(name)
			if !ok {
				return nil, fmt.Errorf("variable %s is not set", name)
			}
			e = name + "=" + value
		}
		out = append(out, e)
	}
	return out, nil
}
