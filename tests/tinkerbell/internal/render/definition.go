package render

import (
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"gopkg.in/yaml.v3"
)

// Definition is what a Template's text says once it is rendered.
type Definition struct {
	Version       string           `yaml:"version"`
	Name          string           `yaml:"name"`
	ID            string           `yaml:"id"`
	GlobalTimeout int              `yaml:"global_timeout"`
	Tasks         []TaskDefinition `yaml:"tasks"`
}

// TaskDefinition is one task: the actions of one worker.
type TaskDefinition struct {
	Name        string             `yaml:"name"`
	Worker      string             `yaml:"worker"`
	Actions     []ActionDefinition `yaml:"actions"`
	Volumes     []string           `yaml:"volumes"`
	Environment map[string]string  `yaml:"environment"`
}

// ActionDefinition is one action.
type ActionDefinition struct {
	Name        string            `yaml:"name"`
	Image       string            `yaml:"image"`
	Timeout     int64             `yaml:"timeout"`
	Command     []string          `yaml:"command"`
	OnTimeout   []string          `yaml:"on-timeout"`
	OnFailure   []string          `yaml:"on-failure"`
	Volumes     []string          `yaml:"volumes"`
	Environment map[string]string `yaml:"environment"`
	Pid         string            `yaml:"pid"`
	Namespaces  struct {
		Network string `yaml:"network"`
		PID     string `yaml:"pid"`
	} `yaml:"namespaces"`
}

// parse reads rendered text as Tinkerbell does: a field that it does not know is ignored. Its own message ends in
// the whole text, and so in the user-data; this one does not.
func parse(rendered []byte) (*Definition, error) {
	definition := new(Definition)
	if err := yaml.Unmarshal(rendered, definition); err != nil {
		return nil, fmt.Errorf("parsing yaml data: err: %w", err)
	}
	if err := definition.check(); err != nil {
		return nil, fmt.Errorf("validating workflow template: %w", err)
	}
	return definition, nil
}

// check applies Tinkerbell's rules, in its order and with its words.
func (d *Definition) check() error {
	if err := checkName(d.Name); err != nil {
		return err
	}
	if len(d.Tasks) == 0 {
		return errors.New("template must have at least one task defined")
	}
	tasks := map[string]bool{}
	for _, task := range d.Tasks {
		if err := checkName(task.Name); err != nil {
			return err
		}
		if tasks[task.Name] {
			return fmt.Errorf("two tasks in a template cannot have same name (%s)", task.Name)
		}
		tasks[task.Name] = true
		if err := task.check(); err != nil {
			return err
		}
	}
	return nil
}

func (t *TaskDefinition) check() error {
	actions := map[string]bool{}
	for _, action := range t.Actions {
		if err := checkName(action.Name); err != nil {
			return err
		}
		if _, err := reference.ParseNormalizedNamed(action.Image); err != nil {
			return fmt.Errorf("invalid action image (%s): %w", action.Image, err)
		}
		if actions[action.Name] {
			return fmt.Errorf("two actions in a task cannot have same name: %s", action.Name)
		}
		actions[action.Name] = true
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) >= 200 {
		return fmt.Errorf("name cannot be empty or have more than 200 characters: %s", name)
	}
	return nil
}
