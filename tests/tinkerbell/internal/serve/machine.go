// Package serve gives one Workflow to the real agent over its gRPC protocol and takes the states that it reports.
package serve

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tinkerbell/tinkerbell/pkg/proto"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"nibs.invalid/tinkerbell/internal/render"
)

// step is one action with what is known of it.
type step struct {
	id, taskID, agent string
	task              render.TaskDefinition
	action            render.ActionDefinition
	state             proto.ActionStatusRequest_StateType
}

// Machine is the Workflow as Tinkerbell's server keeps it: which action is next, and what was reported. Safe for
// use by several goroutines.
type Machine struct {
	id     string
	record func(Report) error

	mu       sync.Mutex
	steps    []*step
	current  int
	state    string
	timeout  time.Duration
	deadline time.Time
}

// Report is one reported state, as the states file holds it.
type Report struct {
	Time time.Time `json:"time"`
	// UnixMicros is the same moment.
	UnixMicros    int64    `json:"unix_micros"`
	Action        string   `json:"action"`
	State         string   `json:"state"`
	Message       string   `json:"message"`
	ExecutionSecs *float64 `json:"execution_secs"`
	// Workflow is the state of the whole after this report.
	Workflow string `json:"workflow"`
}

// NewMachine prepares a rendered Workflow. `id` is its namespace and name; `record` is called with each report, in
// order, before the agent is answered.
func NewMachine(id string, definition *render.Definition, record func(Report) error) (*Machine, error) {
	machine := &Machine{
		id: id, record: record, state: "PENDING",
		timeout: time.Duration(definition.GlobalTimeout) * time.Second,
	}
	for t, task := range definition.Tasks {
		for a, action := range task.Actions {
			machine.steps = append(machine.steps, &step{
				id: fmt.Sprintf("action-%d-%d", t+1, a+1), taskID: fmt.Sprintf("task-%d", t+1),
				agent: task.Worker, task: task, action: action, state: proto.ActionStatusRequest_PENDING,
			})
		}
	}
	if len(machine.steps) == 0 {
		return nil, errors.New("the Workflow has no action")
	}
	return machine, nil
}

// next gives the action that the agent is to run: the current one as long as it has not ended, then the one after.
// No timeout of the Workflow is enforced before the first action was reported.
func (m *Machine) next(agent string) (*proto.ActionResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if agent == "" {
		return nil, status.Error(codes.InvalidArgument, "invalid Agent ID")
	}
	if m.state == "RUNNING" && !m.deadline.IsZero() && time.Now().After(m.deadline) {
		m.state = "TIMEOUT"
	}
	if !slices.ContainsFunc(m.steps, func(s *step) bool { return s.agent == agent }) {
		return nil, status.Error(codes.NotFound, "no Workflows found")
	}
	if m.state != "PENDING" && m.state != "RUNNING" {
		return nil, status.Error(codes.FailedPrecondition, "Workflow not in pending or running state")
	}
	if m.steps[m.current].state == proto.ActionStatusRequest_SUCCESS {
		m.current++
	}
	if s := m.steps[m.current]; s.agent == agent {
		return m.response(s), nil
	}
	return nil, status.Error(codes.NotFound, "Task not assigned to Agent")
}

func (m *Machine) response(s *step) *proto.ActionResponse {
	joined := maps.Clone(s.task.Environment)
	if joined == nil {
		joined = map[string]string{}
	}
	maps.Copy(joined, s.action.Environment)
	environment := make([]string, 0, len(joined))
	for name, value := range joined {
		environment = append(environment, name+"="+value)
	}
	slices.Sort(environment)
	response := &proto.ActionResponse{
		WorkflowId: &m.id, TaskId: &s.taskID, AgentId: &s.agent, ActionId: &s.id,
		Name: &s.action.Name, Image: &s.action.Image, Timeout: &s.action.Timeout, Command: s.action.Command,
		Volumes: slices.Concat(s.task.Volumes, s.action.Volumes), Environment: environment, Pid: &s.action.Pid,
	}
	if names := s.action.Namespaces; names.Network != "" || names.PID != "" {
		response.Namespaces = &proto.Namespaces{Network: &names.Network, Pid: &names.PID}
		if names.PID != "" {
			response.Pid = &names.PID
		}
	}
	return response
}

// report takes the state of an action.
func (m *Machine) report(request *proto.ActionStatusRequest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := slices.IndexFunc(m.steps, func(s *step) bool {
		return s.id == request.GetActionId() && s.agent == request.GetAgentId()
	})
	if at < 0 || request.GetWorkflowId() != m.id {
		return status.Error(codes.NotFound, "action not found")
	}
	s, state := m.steps[at], request.GetActionState()
	s.state, m.current = state, at
	switch {
	case state != proto.ActionStatusRequest_SUCCESS:
		m.state = state.String()
	case at == len(m.steps)-1:
		// Tinkerbell goes through POST here, which without boot options leads to SUCCESS at once.
		m.state = "SUCCESS"
	}
	if m.deadline.IsZero() {
		m.deadline = time.Now().Add(m.timeout)
	}
	now := time.Now().UTC()
	report := Report{
		Time: now, UnixMicros: now.UnixMicro(), Action: s.action.Name, State: state.String(),
		Message: request.GetMessage().GetMessage(), Workflow: m.state,
	}
	if start, stop := request.GetExecutionStart().AsTime(), request.GetExecutionStop().AsTime(); start.Unix() > 0 && stop.After(start) {
		took := stop.Sub(start).Seconds()
		report.ExecutionSecs = &took
	}
	if err := m.record(report); err != nil {
		return status.Errorf(codes.Internal, "recording the state: %v", err)
	}
	return nil
}
