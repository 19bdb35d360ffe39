// Command tinkerbell-server stands in for Tinkerbell's server side in the tests: it renders a Workflow as Tinkerbell
// v0.25 does, serves it to the real agent, and checks objects against the CRDs' own schemas.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"nibs.invalid/tinkerbell/internal/objects"
	"nibs.invalid/tinkerbell/internal/render"
)

const usage = `usage:
  tinkerbell-server render [--template FILE] [--workflow FILE] [--hardware FILE] [FILE...]
  tinkerbell-server serve --states FILE --ready FILE [--listen ADDRESS] [--template FILE] ... [FILE...]
  tinkerbell-server validate FILE...

serve ends with its standard input, so that it never outlives who started it.
`

// errReported is a failure that has been printed.
var errReported = errors.New("reported")

// usageError is a wrong call, as opposed to something that failed.
type usageError struct{ error }

func main() {
	err := run(os.Args[1:])
	var wrong usageError
	switch {
	case err == nil:
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "tinkerbell-server: %v\n%s", err, usage)
		os.Exit(2)
	case errors.Is(err, errReported):
		os.Exit(1)
	default:
		fmt.Fprintf(os.Stderr, "tinkerbell-server: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("no command given")}
	}
	switch args[0] {
	case "render":
		return runRender(args[1:])
	case "serve":
		return runServe(args[1:])
	case "validate":
		return runValidate(args[1:])
	default:
		return usageError{fmt.Errorf("unknown command %q", args[0])}
	}
}

// inputs collects the files of a command. The flags are there to be read: a file may hold objects of any kind.
func inputs(flags *flag.FlagSet, files *[]string) {
	flags.Usage = func() {}
	add := func(path string) error {
		*files = append(*files, path)
		return nil
	}
	for _, kind := range []string{"template", "workflow", "hardware"} {
		flags.Func(kind, "file of objects; may be given again", add)
	}
}

func runRender(args []string) error {
	flags := flag.NewFlagSet("render", flag.ContinueOnError)
	var files []string
	inputs(flags, &files)
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	set, workflow, err := load(append(files, flags.Args()...))
	if err != nil {
		return err
	}
	definition, failure := render.Workflow(set, workflow)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	if err := out.Encode(render.NewStatus(definition, failure)); err != nil {
		return err
	}
	if failure != nil {
		return errReported
	}
	return nil
}

func load(files []string) (*objects.Set, *objects.Workflow, error) {
	set, err := objects.Load(files...)
	if err != nil {
		return nil, nil, err
	}
	workflow, err := set.Workflow()
	return set, workflow, err
}
