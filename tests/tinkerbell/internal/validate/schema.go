// Package validate checks objects as an API server with Tinkerbell's CRDs would, strictly, and Templates as
// Tinkerbell's controller and agent would.
package validate

import (
	"context"
	"fmt"

	"github.com/tinkerbell/tinkerbell/crd"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metavalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"nibs.invalid/tinkerbell/internal/objects"
)

// crdNames gives, by kind, the CRD that describes it.
var crdNames = map[string]string{
	"Hardware": "hardware.tinkerbell.org",
	"Template": "templates.tinkerbell.org",
	"Workflow": "workflows.tinkerbell.org",
}

// kindSchema is the schema of one kind in the forms that its checks need.
type kindSchema struct {
	structural *schema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

// loadSchema reads a kind's schema from the CRD that Tinkerbell's module carries.
func loadSchema(kind string) (*kindSchema, error) {
	if objects.IsForeign(kind) {
		return foreignSchema(kind)
	}
	name, known := crdNames[kind]
	if !known {
		return nil, fmt.Errorf("kind: %q, expected Template, Hardware or Workflow", kind)
	}
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.TinkerbellDefaults[name], &definition); err != nil {
		return nil, fmt.Errorf("reading the CRD %s: %w", name, err)
	}
	for _, version := range definition.Spec.Versions {
		if version.Name == "v1alpha1" {
			return newSchema(version.Schema.OpenAPIV3Schema)
		}
	}
	return nil, fmt.Errorf("the CRD %s has no version v1alpha1", name)
}

func newSchema(from *apiextensionsv1.JSONSchemaProps) (*kindSchema, error) {
	var props apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(from, &props, nil); err != nil {
		return nil, err
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		return nil, err
	}
	openAPI, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, err
	}
	return &kindSchema{structural, openAPI, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// check gives everything that is wrong with a document by its schema: unknown fields, wrong values, wrong metadata.
func (k *kindSchema) check(doc objects.Document) []error {
	object := map[string]any{}
	if err := utiljson.Unmarshal(doc.JSON, &object); err != nil {
		return []error{err}
	}
	var problems []error
	unknown := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	wrong := validation.ValidateCustomResource(nil, object, k.openAPI)
	if len(wrong) == 0 {
		// The rules rely on the types that the schema has checked.
		rules, _ := k.rules.Validate(context.Background(), nil, k.structural, object, nil, celconfig.RuntimeCELCostBudget)
		wrong = append(wrong, rules...)
	}
	for _, err := range wrong {
		problems = append(problems, err)
	}
	problems = append(problems, checkMetadata(doc)...)
	for _, path := range pruning.PruneWithOptions(object, k.structural, true, unknown) {
		problems = append(problems, fmt.Errorf("%s: unknown field", path))
	}
	return problems
}

func checkMetadata(doc objects.Document) []error {
	var whole struct {
		Metadata map[string]any `json:"metadata"`
	}
	if err := utiljson.Unmarshal(doc.JSON, &whole); err != nil {
		return []error{err}
	}
	text, err := utiljson.Marshal(whole.Metadata)
	if err != nil {
		return []error{err}
	}
	meta := metav1.ObjectMeta{}
	strict, err := json.UnmarshalStrict(text, &meta)
	if err != nil {
		return []error{fmt.Errorf("metadata: %w", err)}
	}
	var problems []error
	for _, err := range strict {
		problems = append(problems, fmt.Errorf("metadata: %w", err))
	}
	meta.Namespace = doc.Namespace
	wrong := metavalidation.ValidateObjectMeta(
		&meta, true, metavalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	for _, err := range wrong {
		problems = append(problems, err)
	}
	return problems
}
