package validate

import (
	"bytes"
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"

	"nibs.invalid/tinkerbell/internal/objects"
	"nibs.invalid/tinkerbell/internal/render"
)

// kkpTemplate is the name of the Template for which KKP makes the Workflows.
const kkpTemplate = "provision-worker-node"

// Files checks every document of the files, and every Template's rendering. The errors name file, document and
// object.
func Files(paths ...string) []error {
	docs, err := objects.Read(paths...)
	if err != nil {
		return []error{err}
	}
	if len(docs) == 0 {
		return []error{errors.New("no object in the files")}
	}
	problems := schemas(docs)
	if len(problems) > 0 {
		return problems
	}
	set, err := objects.Collect(docs)
	if err != nil {
		return []error{err}
	}
	return templates(docs, set)
}

func schemas(docs []objects.Document) []error {
	loaded := map[string]*kindSchema{}
	var problems []error
	for _, doc := range docs {
		if loaded[doc.Kind] == nil {
			found, err := loadSchema(doc.Kind)
			if err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", doc.Place, err))
				continue
			}
			loaded[doc.Kind] = found
		}
		for _, err := range loaded[doc.Kind].check(doc) {
			problems = append(problems, fmt.Errorf("%s: %w", doc, err))
		}
	}
	return problems
}

// templates renders each Template with every Workflow that names it. One that no Workflow names is rendered with
// the keys of who would make the Workflow, KKP or CAPT, and otherwise only parsed.
func templates(docs []objects.Document, set *objects.Set) []error {
	var problems []error
	used := map[*objects.Template]bool{}
	for _, workflow := range set.Workflows {
		used[set.Template(workflow.Namespace, workflow.Spec.TemplateRef)] = true
		if err := rendering(set, workflow); err != nil {
			problems = append(problems, fmt.Errorf("Workflow %s/%s: %w", workflow.Namespace, workflow.Name, err))
		}
	}
	for _, doc := range docs {
		isTemplate := doc.Kind == "Template" || objects.IsForeign(doc.Kind)
		if !isTemplate || used[set.Template(doc.Namespace, doc.Name)] {
			continue
		}
		if err := alone(doc, set.Template(doc.Namespace, doc.Name)); err != nil {
			problems = append(problems, fmt.Errorf("%s: spec.data: %w", doc, err))
		}
	}
	return problems
}

func alone(doc objects.Document, template *objects.Template) error {
	if template.Spec.Data == nil {
		return errors.New("missing")
	}
	if doc.Name != kkpTemplate && !objects.IsForeign(doc.Kind) {
		return render.Parse(*template.Spec.Data)
	}
	set, err := objects.Collect([]objects.Document{doc, kkpHardware(doc.Namespace)})
	if err != nil {
		return err
	}
	if objects.IsForeign(doc.Kind) {
		return rendering(set, captWorkflow(doc.Name, doc.Namespace))
	}
	return rendering(set, kkpWorkflow(doc.Namespace))
}

// rendering applies Tinkerbell's own rules, and two more: a field that Tinkerbell would ignore is an error here, and
// so is an action without a timeout, which would time out at once.
func rendering(set *objects.Set, workflow *objects.Workflow) error {
	definition, err := render.Workflow(set, workflow)
	if err != nil {
		return err
	}
	text, err := render.Text(set, workflow)
	if err != nil {
		return err
	}
	strict := yaml.NewDecoder(bytes.NewReader(text))
	strict.KnownFields(true)
	if err := strict.Decode(new(render.Definition)); err != nil {
		return fmt.Errorf("rendered: %w", err)
	}
	var problems []error
	for _, task := range definition.Tasks {
		if len(task.Actions) == 0 {
			problems = append(problems, fmt.Errorf("rendered: task %s has no action", task.Name))
		}
		for _, action := range task.Actions {
			if action.Timeout <= 0 {
				problems = append(problems, fmt.Errorf(
					"rendered: action %s: timeout: %d, expected a number of seconds above 0", action.Name, action.Timeout))
			}
		}
	}
	if definition.GlobalTimeout <= 0 {
		problems = append(problems, fmt.Errorf(
			"rendered: global_timeout: %d, expected a number of seconds above 0", definition.GlobalTimeout))
	}
	return errors.Join(problems...)
}
