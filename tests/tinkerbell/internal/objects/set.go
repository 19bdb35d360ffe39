package objects

import (
	"encoding/json"
	"fmt"
)

type key struct{ namespace, name string }

// Set holds objects by namespace and name, as a cluster would.
type Set struct {
	Templates map[key]*Template
	Hardware  map[key]*Hardware
	Workflows []*Workflow
}

// Load reads the files' objects into a set. Two objects of one name are an error; unknown fields are not, as for
// Tinkerbell itself (see package validate).
func Load(paths ...string) (*Set, error) {
	docs, err := Read(paths...)
	if err != nil {
		return nil, err
	}
	return Collect(docs)
}

// Collect puts documents into a set.
func Collect(docs []Document) (*Set, error) {
	set := &Set{Templates: map[key]*Template{}, Hardware: map[key]*Hardware{}}
	workflows := map[key]bool{}
	for _, doc := range docs {
		at := key{doc.Namespace, doc.Name}
		var twice bool
		var err error
		switch doc.Kind {
		case "Template":
			_, twice = set.Templates[at]
			set.Templates[at], err = decode[Template](doc)
		case CAPTKind:
			_, twice = set.Templates[at]
			set.Templates[at], err = captTemplate(doc)
		case EKSAKind:
			_, twice = set.Templates[at]
			set.Templates[at], err = eksaTemplate(doc)
		case "Hardware":
			_, twice = set.Hardware[at]
			set.Hardware[at], err = decode[Hardware](doc)
		case "Workflow":
			twice, workflows[at] = workflows[at], true
			var workflow *Workflow
			if workflow, err = decode[Workflow](doc); err == nil {
				workflow.Namespace = doc.Namespace
				set.Workflows = append(set.Workflows, workflow)
			}
		default:
			return nil, fmt.Errorf("%s: kind: %q, expected Template, Hardware or Workflow", doc.Place, doc.Kind)
		}
		if err != nil {
			return nil, err
		}
		if twice {
			return nil, fmt.Errorf("%s: an object of this name was there before", doc)
		}
	}
	return set, nil
}

func decode[T any](doc Document) (*T, error) {
	object := new(T)
	if err := json.Unmarshal(doc.JSON, object); err != nil {
		return nil, fmt.Errorf("%s: %w", doc, err)
	}
	return object, nil
}

// Template finds a Template.
func (s *Set) Template(namespace, name string) *Template { return s.Templates[key{namespace, name}] }

// Machine finds a Hardware.
func (s *Set) Machine(namespace, name string) *Hardware { return s.Hardware[key{namespace, name}] }

// Workflow gives the one Workflow of the set.
func (s *Set) Workflow() (*Workflow, error) {
	if len(s.Workflows) != 1 {
		return nil, fmt.Errorf("%d Workflows in the files, expected exactly one", len(s.Workflows))
	}
	return s.Workflows[0], nil
}
