// Package objects reads Tinkerbell's objects from files of YAML.
package objects

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// APIVersion is the group and version of Tinkerbell's own objects.
const APIVersion = "tinkerbell.org/v1alpha1"

// Document is one YAML document with the place that it came from.
type Document struct {
	// Place is what a message begins with: file and number of the document, from 1.
	Place string
	// Kind, Namespace and Name are those that the document gives; an absent namespace is `default`.
	Kind, Namespace, Name string
	// JSON is the whole document.
	JSON []byte
}

// String names the document's object in a message.
func (d Document) String() string {
	return fmt.Sprintf("%s: %s %s/%s", d.Place, d.Kind, d.Namespace, d.Name)
}

// Read gives every document of the files, in order; `-` is standard input. A List is taken apart. Keys that stand
// twice in a mapping are an error, as they are for Kubernetes' own strict reading.
func Read(paths ...string) ([]Document, error) {
	var all []Document
	for _, path := range paths {
		docs, err := readFile(path)
		if err != nil {
			return nil, err
		}
		all = append(all, docs...)
	}
	return all, nil
}

func readFile(path string) ([]Document, error) {
	text, err := readAll(path)
	if err != nil {
		return nil, err
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var docs []Document
	for number := 1; ; number++ {
		raw, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		place := fmt.Sprintf("%s, document %d", path, number)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		found, err := parse(place, raw)
		if err != nil {
			return nil, err
		}
		docs = append(docs, found...)
	}
}

func readAll(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	return os.ReadFile(path)
}

func parse(place string, raw []byte) ([]Document, error) {
	text, err := yaml.YAMLToJSONStrict(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	if string(bytes.TrimSpace(text)) == "null" {
		return nil, nil
	}
	return parseJSON(place, text)
}

func parseJSON(place string, text []byte) ([]Document, error) {
	var head struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        struct {
			Name      string `json:"name"`
			Namespace string `json:"namespace"`
		} `json:"metadata"`
		Items []yamlRaw `json:"items"`
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	if head.Kind == "List" {
		var docs []Document
		for i, item := range head.Items {
			found, err := parseJSON(fmt.Sprintf("%s, item %d", place, i+1), item)
			if err != nil {
				return nil, err
			}
			docs = append(docs, found...)
		}
		return docs, nil
	}
	if head.Kind == "" || head.APIVersion == "" {
		return nil, fmt.Errorf("%s: not a Kubernetes object: it has no kind or no apiVersion", place)
	}
	if expected := apiVersionOf(head.Kind); head.APIVersion != expected {
		return nil, fmt.Errorf("%s: apiVersion: %q, expected %q", place, head.APIVersion, expected)
	}
	namespace := head.Metadata.Namespace
	if namespace == "" {
		namespace = "default"
	}
	return []Document{{place, head.Kind, namespace, head.Metadata.Name, text}}, nil
}

// yamlRaw keeps a value as the JSON that it stood in.
type yamlRaw []byte

// UnmarshalJSON keeps the text.
func (r *yamlRaw) UnmarshalJSON(text []byte) error {
	*r = bytes.Clone(text)
	return nil
}
