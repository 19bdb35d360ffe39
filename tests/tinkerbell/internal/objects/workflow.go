package objects

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Template is a workflow before it is rendered.
type Template struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec TemplateSpec `json:"spec,omitempty"`
}

// TemplateSpec holds the text of a Template.
type TemplateSpec struct {
	Data *string `json:"data,omitempty"`
}

// Workflow binds a Template to a machine.
type Workflow struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec WorkflowSpec `json:"spec,omitempty"`
}

// WorkflowSpec names the Template and the Hardware, and gives the keys that the Template uses.
type WorkflowSpec struct {
	TemplateRef string            `json:"templateRef,omitempty"`
	HardwareRef string            `json:"hardwareRef,omitempty"`
	HardwareMap map[string]string `json:"hardwareMap,omitempty"`
}
