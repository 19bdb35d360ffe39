package validate

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"nibs.invalid/tinkerbell/internal/objects"
)

// The schemas below declare the fields of two CRDs by hand: the module proxy does not have the modules that carry
// them. Of CAPT's only those that stand beside templateOverride are there, hardwareAffinity and bootOptions unchecked
// inside. A field that is not declared is an unknown one.

type props = apiextensionsv1.JSONSchemaProps

func object(required []string, fields map[string]props) props {
	return props{Type: "object", Required: required, Properties: fields}
}

func list(of props) props {
	return props{Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &of}}
}

func whole(spec props) *props {
	text := props{Type: "string"}
	top := object([]string{"spec"}, map[string]props{
		"apiVersion": text, "kind": text, "metadata": {Type: "object"}, "spec": spec,
	})
	return &top
}

func foreignSchema(kind string) (*kindSchema, error) {
	text, number, anything := props{Type: "string"}, props{Type: "integer"}, true
	open := props{Type: "object", XPreserveUnknownFields: &anything}
	texts := list(text)
	environment := props{
		Type:                 "object",
		AdditionalProperties: &apiextensionsv1.JSONSchemaPropsOrBool{Allows: true, Schema: &text},
	}
	if kind == objects.CAPTKind {
		return newSchema(whole(object([]string{"template"}, map[string]props{
			"template": object([]string{"spec"}, map[string]props{
				"spec": object(nil, map[string]props{
					"bootOptions": open, "hardwareAffinity": open, "hardwareName": text,
					"imageLookupBaseRegistry": text, "imageLookupFormat": text, "imageLookupOSDistro": text,
					"imageLookupOSVersion": text, "providerID": text, "templateOverride": text,
				}),
			}),
		})))
	}
	action := object([]string{"image", "name", "timeout"}, map[string]props{
		"name": text, "image": text, "timeout": number, "command": texts, "on-timeout": texts, "on-failure": texts,
		"volumes": texts, "environment": environment, "pid": text,
	})
	task := object([]string{"actions", "name", "worker"}, map[string]props{
		"name": text, "worker": text, "actions": list(action), "volumes": texts, "environment": environment,
	})
	return newSchema(whole(object([]string{"template"}, map[string]props{
		"template": object([]string{"global_timeout", "id", "name", "tasks", "version"}, map[string]props{
			"version": text, "name": text, "id": text, "global_timeout": number, "tasks": list(task),
		}),
	})))
}

// captWorkflow is the Workflow that CAPT makes for a Template: it gives one key.
func captWorkflow(template, namespace string) *objects.Workflow {
	workflow := &objects.Workflow{Spec: objects.WorkflowSpec{
		TemplateRef: template,
		HardwareRef: "example",
		HardwareMap: map[string]string{"device_1": "02:00:00:00:00:09"},
	}}
	workflow.Name, workflow.Namespace = template, namespace
	return workflow
}
