package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/tinkerbell/tinkerbell/pkg/proto"
	"google.golang.org/grpc"
)

// stopPatience is how long calls that are under way are waited for at the end.
const stopPatience = 2 * time.Second

type service struct {
	proto.UnimplementedWorkflowServiceServer
	machine *Machine
}

// GetAction answers the agent's question for work.
func (s *service) GetAction(_ context.Context, request *proto.ActionRequest) (*proto.ActionResponse, error) {
	return s.machine.next(request.GetAgentId())
}

// ReportActionStatus takes what the agent says of an action.
func (s *service) ReportActionStatus(
	_ context.Context, request *proto.ActionStatusRequest,
) (*proto.ActionStatusResponse, error) {
	return &proto.ActionStatusResponse{}, s.machine.report(request)
}

// Run serves the machine on the listener until the context ends.
func Run(ctx context.Context, listener net.Listener, machine *Machine) error {
	server := grpc.NewServer()
	proto.RegisterWorkflowServiceServer(server, &service{machine: machine})
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	hard := time.AfterFunc(stopPatience, server.Stop)
	defer hard.Stop()
	server.GracefulStop()
	return <-failed
}

// Recorder appends reports to a file, each as one line of JSON that is written at once.
func Recorder(file *os.File) func(Report) error {
	return func(report Report) error {
		line, err := json.Marshal(report)
		if err != nil {
			return err
		}
		_, err = file.Write(append(line, '\n'))
		return err
	}
}

// Announce writes the address to a file that is there only when it is whole.
func Announce(path string, address net.Addr) error {
	half := path + ".part"
	if err := os.WriteFile(half, []byte(address.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("announcing the address: %w", err)
	}
	return os.Rename(half, path)
}
