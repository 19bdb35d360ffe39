// Package render makes of a Template, a Workflow and a Hardware what Tinkerbell v0.25's controller makes of them.
// Its own code is internal to its module; the golden files say what it gave.
package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"text/template"

	"nibs.invalid/tinkerbell/internal/objects"
)

// maxRenderedBytes is the most that a Template may become.
const maxRenderedBytes = 256 * 1024

// ErrTooLarge is the failure of a Template that becomes larger than Tinkerbell allows.
var ErrTooLarge = fmt.Errorf("rendered template exceeds %d bytes", maxRenderedBytes)

// Text finds the Workflow's Template and Hardware in the set and renders the Template's text.
func Text(set *objects.Set, workflow *objects.Workflow) ([]byte, error) {
	found := set.Template(workflow.Namespace, workflow.Spec.TemplateRef)
	if found == nil {
		return nil, fmt.Errorf("no template found: name=%s; namespace=%s", workflow.Spec.TemplateRef, workflow.Namespace)
	}
	machine := new(objects.Hardware)
	if name := workflow.Spec.HardwareRef; name != "" {
		if machine = set.Machine(workflow.Namespace, name); machine == nil {
			return nil, fmt.Errorf("hardware not found: name=%s; namespace=%s", name, workflow.Namespace)
		}
	}
	data, err := templateData(workflow, machine)
	if err != nil {
		return nil, err
	}
	var text string
	if found.Spec.Data != nil {
		text = *found.Spec.Data
	}
	rendered, err := execute(text, data)
	if err != nil {
		err = fmt.Errorf("failed to parse template with ID %s: err: %w", workflow.Name, err)
		return nil, errors.Join(refused(machine), err)
	}
	return rendered, nil
}

// Workflow renders as Text does, and reads the outcome.
func Workflow(set *objects.Set, workflow *objects.Workflow) (*Definition, error) {
	rendered, err := Text(set, workflow)
	if err != nil {
		return nil, err
	}
	definition, err := parse(rendered)
	if err != nil {
		return nil, err
	}
	for _, task := range definition.Tasks {
		if task.Worker == "" {
			return nil, fmt.Errorf("failed to render template, empty hardware address (task %s)", task.Name)
		}
	}
	return definition, nil
}

// Parse says whether text is a Template at all, without data.
func Parse(text string) error {
	_, err := newTemplate(text)
	return err
}

func newTemplate(text string) (*template.Template, error) {
	return template.New("workflow-template").Option("missingkey=error").Funcs(functions()).Parse(text)
}

func execute(text string, data map[string]any) ([]byte, error) {
	parsed, err := newTemplate(text)
	if err != nil {
		return nil, err
	}
	var out bounded
	if err := parsed.Execute(&out, data); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// bounded refuses what would make it larger than a rendered Template may be.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(part []byte) (int, error) {
	if b.Len()+len(part) > maxRenderedBytes {
		return 0, ErrTooLarge
	}
	return b.Buffer.Write(part)
}

// legacy is `.Hardware`, the form that every version of Tinkerbell knows.
type legacy struct {
	Disks      []string
	Interfaces []objects.Interface
	UserData   string
	Metadata   objects.HardwareMetadata
	VendorData string
}

// templateData is what a Template sees: the Workflow's keys, and the machine in both forms, which win over a key of
// the same name.
func templateData(workflow *objects.Workflow, machine *objects.Hardware) (map[string]any, error) {
	data := map[string]any{}
	for name, value := range workflow.Spec.HardwareMap {
		data[name] = value
	}
	text, err := json.Marshal(machine)
	if err != nil {
		return nil, fmt.Errorf("writing the Hardware as JSON: %w", err)
	}
	whole := map[string]any{}
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("reading the Hardware's JSON: %w", err)
	}
	old := legacy{Interfaces: machine.Spec.Interfaces}
	for _, disk := range machine.Spec.Disks {
		old.Disks = append(old.Disks, disk.Device)
	}
	if machine.Spec.UserData != nil {
		old.UserData = *machine.Spec.UserData
	}
	if machine.Spec.VendorData != nil {
		old.VendorData = *machine.Spec.VendorData
	}
	if machine.Spec.Metadata != nil {
		old.Metadata = *machine.Spec.Metadata
	}
	data["hardware"] = whole
	data["Hardware"] = old
	data["references"] = map[string]any{}
	return data, nil
}

// refused is what Tinkerbell's default rules say of a Hardware's references: each is denied, and that is told only
// when the rendering fails for it or for something else.
func refused(machine *objects.Hardware) error {
	var all []error
	for range machine.Spec.References {
		all = append(all, errors.New("reference denied"))
	}
	return errors.Join(all...)
}
