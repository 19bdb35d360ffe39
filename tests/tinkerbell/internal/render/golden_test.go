package render

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nibs.invalid/tinkerbell/internal/objects"
)

// goldens is the number of Templates that the real Tinkerbell was given.
const goldens = 12

func TestGolden(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "fixtures", "golden")
	templates, err := filepath.Glob(filepath.Join(folder, "*.template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(templates) != goldens {
		t.Fatalf("%d Templates in %s, expected %d", len(templates), folder, goldens)
	}
	for _, path := range templates {
		name := strings.TrimSuffix(filepath.Base(path), ".template.yaml")
		t.Run(name, func(t *testing.T) {
			set, err := objects.Load(path, filepath.Join(folder, "hardware.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			workflow := &objects.Workflow{Spec: objects.WorkflowSpec{
				TemplateRef: name,
				HardwareRef: "node-1",
				HardwareMap: map[string]string{
					"device_1": "02:00:00:00:00:09", "hardware_name": "node-1", "partition_number": "3",
				},
			}}
			workflow.Name, workflow.Namespace = name, "default"
			got := asMap(t, NewStatus(Workflow(set, workflow)))
			text, err := os.ReadFile(filepath.Join(folder, name+".expected.json"))
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got\n%s\nwant\n%s", indent(t, got), indent(t, want))
			}
		})
	}
}

func asMap(t *testing.T, status Status) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(indent(t, status)), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func indent(t *testing.T, value any) string {
	t.Helper()
	text, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
