package render

// Status is the part of a Workflow's status that says what became of its Template.
type Status struct {
	TemplateRendering string `json:"templateRendering"`
	Message           string `json:"message,omitempty"`
	Tasks             []Task `json:"tasks,omitempty"`
}

// Task is a task as the status shows it.
type Task struct {
	AgentID     string            `json:"agentID"`
	Environment map[string]string `json:"environment,omitempty"`
	Name        string            `json:"name"`
	Volumes     []string          `json:"volumes,omitempty"`
	Actions     []Action          `json:"actions"`
}

// Action is an action as the status shows it.
type Action struct {
	Command     []string          `json:"command,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	Image       string            `json:"image,omitempty"`
	Name        string            `json:"name,omitempty"`
	Namespaces  *Namespaces       `json:"namespaces,omitempty"`
	Pid         string            `json:"pid,omitempty"`
	Timeout     int64             `json:"timeout,omitempty"`
	Volumes     []string          `json:"volumes,omitempty"`
}

// Namespaces are those of the host that an action shares.
type Namespaces struct {
	Network string `json:"network,omitempty"`
	PID     string `json:"pid,omitempty"`
}

// NewStatus puts the outcome of Workflow into the form of a status.
func NewStatus(definition *Definition, failure error) Status {
	if failure != nil {
		return Status{TemplateRendering: "failed", Message: "error rendering template: " + failure.Error()}
	}
	status := Status{TemplateRendering: "successful"}
	for _, from := range definition.Tasks {
		task := Task{
			AgentID: from.Worker, Environment: from.Environment, Name: from.Name, Volumes: from.Volumes,
			Actions: []Action{},
		}
		for _, action := range from.Actions {
			task.Actions = append(task.Actions, newAction(action))
		}
		status.Tasks = append(status.Tasks, task)
	}
	return status
}

func newAction(from ActionDefinition) Action {
	action := Action{
		Command: from.Command, Environment: from.Environment, Image: from.Image, Name: from.Name,
		Pid: from.Pid, Timeout: from.Timeout, Volumes: from.Volumes,
	}
	if from.Namespaces.Network != "" || from.Namespaces.PID != "" {
		action.Namespaces = &Namespaces{Network: from.Namespaces.Network, PID: from.Namespaces.PID}
	}
	return action
}
