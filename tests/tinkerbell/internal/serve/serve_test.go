package serve

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/tinkerbell/tinkerbell/pkg/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"nibs.invalid/tinkerbell/internal/render"
)

const agent = "02:00:00:00:00:09"

func definition() *render.Definition {
	first := render.ActionDefinition{
		Name: "first", Image: "registry.example/a:1", Timeout: 5, Pid: "host",
		Volumes: []string{"/a:/a"}, Environment: map[string]string{"WINS": "action"},
	}
	first.Namespaces.Network = "host"
	return &render.Definition{GlobalTimeout: 600, Tasks: []render.TaskDefinition{{
		Name: "provision", Worker: agent, Volumes: []string{"/dev:/dev"},
		Environment: map[string]string{"WINS": "task", "SHARED": "task"},
		Actions:     []render.ActionDefinition{first, {Name: "second", Image: "registry.example/b:1", Timeout: 5}},
	}}}
}

// dial serves a new machine on loopback and gives a client of it, and the reports as they come.
func dial(t *testing.T) (proto.WorkflowServiceClient, *[]Report) {
	t.Helper()
	reports := new([]Report)
	machine, err := NewMachine("default/w", definition(), func(r Report) error {
		*reports = append(*reports, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, listener, machine) }()
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return proto.NewWorkflowServiceClient(conn), reports
}

func get(t *testing.T, client proto.WorkflowServiceClient, id string) (*proto.ActionResponse, codes.Code) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	response, err := client.GetAction(ctx, &proto.ActionRequest{AgentId: &id})
	return response, status.Code(err)
}

func tell(t *testing.T, client proto.WorkflowServiceClient, action *proto.ActionResponse, state proto.ActionStatusRequest_StateType) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	message, start := "action completed", time.Unix(1_800_000_000, 0)
	_, err := client.ReportActionStatus(ctx, &proto.ActionStatusRequest{
		WorkflowId: action.WorkflowId, AgentId: action.AgentId, TaskId: action.TaskId, ActionId: action.ActionId,
		ActionName: action.Name, ActionState: &state, Message: &proto.ActionMessage{Message: &message},
		ExecutionStart: timestamppb.New(start), ExecutionStop: timestamppb.New(start.Add(1500 * time.Millisecond)),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestServesActionsInOrder(t *testing.T) {
	client, reports := dial(t)
	if _, code := get(t, client, "02:00:00:00:00:aa"); code != codes.NotFound {
		t.Errorf("another agent got %v, expected NotFound", code)
	}
	first, code := get(t, client, agent)
	if code != codes.OK || first.GetName() != "first" {
		t.Fatalf("got %v %v, expected the first action", code, first)
	}
	if want := []string{"SHARED=task", "WINS=action"}; !slices.Equal(first.GetEnvironment(), want) {
		t.Errorf("environment %v, expected %v", first.GetEnvironment(), want)
	}
	if want := []string{"/dev:/dev", "/a:/a"}; !slices.Equal(first.GetVolumes(), want) {
		t.Errorf("volumes %v, expected %v", first.GetVolumes(), want)
	}
	if first.GetPid() != "host" || first.GetNamespaces().GetNetwork() != "host" {
		t.Errorf("pid %q, network %q, expected host and host", first.GetPid(), first.GetNamespaces().GetNetwork())
	}
	tell(t, client, first, proto.ActionStatusRequest_RUNNING)
	if again, _ := get(t, client, agent); again.GetActionId() != first.GetActionId() {
		t.Errorf("an agent that started anew got %q, expected the action under way", again.GetName())
	}
	tell(t, client, first, proto.ActionStatusRequest_SUCCESS)
	second, _ := get(t, client, agent)
	if second.GetName() != "second" {
		t.Fatalf("got %q, expected the second action", second.GetName())
	}
	tell(t, client, second, proto.ActionStatusRequest_SUCCESS)
	if _, code := get(t, client, agent); code != codes.FailedPrecondition {
		t.Errorf("after the end: %v, expected FailedPrecondition", code)
	}
	last := (*reports)[len(*reports)-1]
	if len(*reports) != 3 || last.Workflow != "SUCCESS" || *last.ExecutionSecs != 1.5 {
		t.Errorf("reports %+v, expected three that end in SUCCESS after 1.5 s", *reports)
	}
}

func TestFailureEndsTheWorkflow(t *testing.T) {
	client, reports := dial(t)
	first, _ := get(t, client, agent)
	tell(t, client, first, proto.ActionStatusRequest_FAILED)
	if _, code := get(t, client, agent); code != codes.FailedPrecondition {
		t.Errorf("after a failure: %v, expected FailedPrecondition", code)
	}
	if got := (*reports)[0].Workflow; got != "FAILED" {
		t.Errorf("the Workflow is %s, expected FAILED", got)
	}
}
