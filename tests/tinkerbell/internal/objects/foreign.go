package objects

import (
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

// The kinds that other systems make a Template of, by the version that they are read in.
const (
	CAPTKind       = "TinkerbellMachineTemplate"
	CAPTAPIVersion = "infrastructure.cluster.x-k8s.io/v1beta1"
	EKSAKind       = "TinkerbellTemplateConfig"
	EKSAAPIVersion = "anywhere.eks.amazonaws.com/v1alpha1"
)

// apiVersionOf gives the one that a kind is read in.
func apiVersionOf(kind string) string {
	switch kind {
	case CAPTKind:
		return CAPTAPIVersion
	case EKSAKind:
		return EKSAAPIVersion
	default:
		return APIVersion
	}
}

// IsForeign says whether a Template is made of this kind by CAPT, which then also makes the Workflow.
func IsForeign(kind string) bool { return kind == CAPTKind || kind == EKSAKind }

// captTemplate is what CAPT makes of its templateOverride: a Template of that text.
func captTemplate(doc Document) (*Template, error) {
	var from struct {
		Spec struct {
			Template struct {
				Spec struct {
					TemplateOverride string `json:"templateOverride"`
				} `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(doc.JSON, &from); err != nil {
		return nil, fmt.Errorf("%s: %w", doc, err)
	}
	return made(doc, from.Spec.Template.Spec.TemplateOverride), nil
}

// eksaWorkflow has the fields of a template that EKS Anywhere's own type has: it writes no other.
type eksaWorkflow struct {
	Version       string     `json:"version"`
	Name          string     `json:"name"`
	ID            string     `json:"id"`
	GlobalTimeout int        `json:"global_timeout"`
	Tasks         []eksaTask `json:"tasks"`
}

type eksaTask struct {
	Name        string            `json:"name"`
	Worker      string            `json:"worker"`
	Actions     []eksaAction      `json:"actions"`
	Volumes     []string          `json:"volumes,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
}

type eksaAction struct {
	Name        string            `json:"name"`
	Image       string            `json:"image"`
	Timeout     int64             `json:"timeout"`
	Command     []string          `json:"command,omitempty"`
	OnTimeout   []string          `json:"on-timeout,omitempty"`
	OnFailure   []string          `json:"on-failure,omitempty"`
	Volumes     []string          `json:"volumes,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	Pid         string            `json:"pid,omitempty"`
}

// eksaTemplate is what EKS Anywhere makes of its template: YAML written anew from what was read, for CAPT's
// templateOverride.
func eksaTemplate(doc Document) (*Template, error) {
	var from struct {
		Spec struct {
			Template eksaWorkflow `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(doc.JSON, &from); err != nil {
		return nil, fmt.Errorf("%s: %w", doc, err)
	}
	text, err := yaml.Marshal(from.Spec.Template)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doc, err)
	}
	return made(doc, string(text)), nil
}

func made(doc Document, text string) *Template {
	template := &Template{Spec: TemplateSpec{Data: &text}}
	template.Name, template.Namespace = doc.Name, doc.Namespace
	return template
}
