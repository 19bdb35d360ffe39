package validate

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tinkerbell/tinkerbell/crd"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"nibs.invalid/tinkerbell/internal/objects"
)

const head = "apiVersion: tinkerbell.org/v1alpha1\nkind: "

// data is a Template's text with one action.
const data = `version: "0.1"
name: x
global_timeout: 600
tasks:
  - name: provision
    worker: "{{ .device_1 }}"
    actions:
      - name: one
        image: registry.example/x:1
`

func template(name, text string) string {
	return head + "Template\nmetadata: {name: " + name + "}\nspec:\n  data: |\n    " +
		strings.ReplaceAll(text, "\n", "\n    ")
}

func captOverride(field string) string {
	return "apiVersion: infrastructure.cluster.x-k8s.io/v1beta1\nkind: TinkerbellMachineTemplate\nmetadata: {name: x}\n" +
		"spec:\n  template:\n    spec:\n      " + field + ": |\n        " +
		strings.ReplaceAll(data+"        timeout: 60", "\n", "\n        ") + "\n"
}

const eksaConfig = `apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: TinkerbellTemplateConfig
metadata: {name: x}
spec:
  template:
    version: "0.1"
    id: ''
    name: x
    global_timeout: 600
    tasks:
      - name: x
        worker: "{{ .device_1 }}"
        actions:
        - name: reboot
          image: registry.example/x:1
          timeout: 60
`

func TestDocuments(t *testing.T) {
	workflow := "\n---\n" + head + "Workflow\nmetadata: {name: w}\nspec: {templateRef: x, hardwareMap: {device_1: a}}\n"
	for name, c := range map[string]struct{ text, want string }{
		"right":           {template("x", data+"        timeout: 60\n") + workflow, ""},
		"kkp's keys":      {template("provision-worker-node", data+"        timeout: 60\n        environment: {A: '{{ .os_image }}'}\n"), ""},
		"not kkp's key":   {template("provision-worker-node", data+"        timeout: 60\n        environment: {A: '{{ .image }}'}\n"), `map has no entry for key "image"`},
		"no timeout":      {template("x", data) + workflow, "action one: timeout: 0, expected"},
		"unknown action":  {template("x", data+"        timeout: 60\n        privileged: true\n") + workflow, "field privileged not found"},
		"no template":     {strings.TrimPrefix(workflow, "\n---\n"), "no template found: name=x; namespace=default"},
		"does not parse":  {template("x", "name: {{ .x"), "unclosed action"},
		"unknown field":   {head + "Hardware\nmetadata: {name: h}\nspec: {disk: [{device: /dev/sda}]}\n", "spec.disk: unknown field"},
		"nested unknown":  {head + "Hardware\nmetadata: {name: h}\nspec: {interfaces: [{dhcp: {mtu: 9000}}]}\n", "spec.interfaces[0].dhcp.mtu: unknown field"},
		"wrong type":      {head + "Hardware\nmetadata: {name: h}\nspec: {interfaces: [{dhcp: {vlan_id: 120}}]}\n", "spec.interfaces[0].dhcp.vlan_id: Invalid value"},
		"upper-case MAC":  {head + "Hardware\nmetadata: {name: h}\nspec: {interfaces: [{dhcp: {mac: '02:00:00:00:00:0A'}}]}\n", "spec.interfaces[0].dhcp.mac: Invalid value"},
		"rule of the CRD": {head + "Hardware\nmetadata: {name: h}\nspec: {interfaces: [{dhcp: {boot_file_name: x}}]}\n", "must both be specified"},
		"name":            {head + "Hardware\nmetadata: {name: h_1}\n", "metadata.name: Invalid value"},
		"metadata":        {head + "Hardware\nmetadata: {name: h, label: {a: b}}\n", `unknown field "label"`},
		"key twice":       {head + "Hardware\nmetadata: {name: h}\nspec: {}\nspec: {}\n", `key "spec" already set`},
		"kind":            {head + "Pod\nmetadata: {name: h}\n", `kind: "Pod", expected`},
		"group":           {"apiVersion: v1\nkind: Template\nmetadata: {name: h}\n", `apiVersion: "v1", expected`},
		"capt":            {captOverride("templateOverride"), ""},
		"capt's key":      {strings.ReplaceAll(captOverride("templateOverride"), "device_1", "os_image"), `map has no entry for key "os_image"`},
		"capt unknown":    {captOverride("template_override"), "spec.template.spec.template_override: unknown field"},
		"eksa":            {eksaConfig + "          pid: host\n", ""},
		"eksa unknown":    {eksaConfig + "          namespaces: {network: host}\n", "spec.template.tasks[0].actions[0].namespaces: unknown field"},
		"eksa without id": {strings.Replace(eksaConfig, "    id: ''\n", "", 1), "spec.template.id: Required value"},
		"eksa's version":  {strings.Replace(eksaConfig, "v1alpha1", "v1", 1), `apiVersion: "anywhere.eks.amazonaws.com/v1", expected`},
		"nothing":         {"# nothing\n", "no object in the files"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "objects.yaml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got := errors.Join(Files(path)...)
			switch {
			case c.want == "" && got != nil:
				t.Errorf("got %v, expected no error", got)
			case c.want != "" && (got == nil || !strings.Contains(got.Error(), c.want)):
				t.Errorf("got %v, expected an error with %q", got, c.want)
			}
		})
	}
}

func TestRecordedObjects(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "fixtures", "golden")
	paths := []string{
		filepath.Join(folder, "hardware.yaml"), filepath.Join(folder, "kkp", "hardware.yaml"),
		filepath.Join(folder, "interfaces.template.yaml"),
	}
	if err := errors.Join(Files(paths...)...); err != nil {
		t.Errorf("objects that the real Tinkerbell took: %v", err)
	}
}

// The Hardware type is declared by hand, so it is held against the CRD: the same JSON names at every level.
func TestHardwareHasTheFieldsOfTheCRD(t *testing.T) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(crd.TinkerbellDefaults["hardware.tinkerbell.org"], &definition); err != nil {
		t.Fatal(err)
	}
	top := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, part := range []struct {
		name string
		of   reflect.Type
	}{{"spec", reflect.TypeFor[objects.HardwareSpec]()}, {"status", reflect.TypeFor[objects.HardwareStatus]()}} {
		compare(t, part.name, top.Properties[part.name], part.of)
	}
}

func compare(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps, of reflect.Type) {
	t.Helper()
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		of = of.Elem()
		switch {
		case schema.Items != nil:
			schema = *schema.Items.Schema
		case schema.AdditionalProperties != nil:
			schema = *schema.AdditionalProperties.Schema
		}
	}
	if of.Kind() != reflect.Struct || len(schema.Properties) == 0 {
		return
	}
	fields := map[string]reflect.Type{}
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		fields[name] = of.Field(i).Type
	}
	for name, property := range schema.Properties {
		if fields[name] == nil {
			t.Errorf("%s.%s is in the CRD and not in the type", path, name)
			continue
		}
		compare(t, path+"."+name, property, fields[name])
		delete(fields, name)
	}
	for name := range fields {
		t.Errorf("%s.%s is in the type and not in the CRD", path, name)
	}
}
