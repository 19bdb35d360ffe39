package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"nibs.invalid/tinkerbell/internal/render"
	"nibs.invalid/tinkerbell/internal/serve"
	"nibs.invalid/tinkerbell/internal/validate"
)

func runServe(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	var files []string
	inputs(flags, &files)
	listen := flags.String("listen", "127.0.0.1:0", "address to serve on; port 0 is any free one")
	states := flags.String("states", "", "file that each reported state is appended to, as a line of JSON")
	ready := flags.String("ready", "", "file that the address is written to once it is served")
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	if *states == "" || *ready == "" {
		return usageError{errors.New("serve needs --states and --ready")}
	}
	set, workflow, err := load(append(files, flags.Args()...))
	if err != nil {
		return err
	}
	definition, err := render.Workflow(set, workflow)
	if err != nil {
		return fmt.Errorf("error rendering template: %w", err)
	}
	file, err := os.OpenFile(*states, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	machine, err := serve.NewMachine(workflow.Namespace+"/"+workflow.Name, definition, serve.Recorder(file))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if err := serve.Announce(*ready, listener.Addr()); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go func() {
		// Whoever started the server holds the other end: when that is gone, nobody waits for the server any more.
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return serve.Run(ctx, listener, machine)
}

func runValidate(args []string) error {
	flags := flag.NewFlagSet("validate", flag.ContinueOnError)
	flags.Usage = func() {}
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	if flags.NArg() == 0 {
		return usageError{errors.New("validate needs a file")}
	}
	problems := validate.Files(flags.Args()...)
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, problem)
	}
	if len(problems) > 0 {
		return errReported
	}
	return nil
}
