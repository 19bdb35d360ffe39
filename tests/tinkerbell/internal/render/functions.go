package render

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"text/template"
	"unicode"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

// functions are those of a Template in Tinkerbell v0.25: sprig without what depends on the machine or the moment
// (no `env`), and four of Tinkerbell's own.
func functions() template.FuncMap {
	all := sprig.HermeticTxtFuncMap()
	all["formatPartition"] = formatPartition
	all["netmaskToPrefixLength"] = netmaskToPrefixLength
	all["toYaml"] = toYAML
	all["fromYaml"] = fromYAML
	return all
}

// formatPartition gives the path of a partition from that of its disk.
func formatPartition(disk string, number int) string {
	separator := ""
	switch last := strings.LastIndexFunc(disk, unicode.IsDigit); {
	case strings.HasPrefix(disk, "/dev/disk/"):
		separator = "-part"
	case last >= 0 && last == len(disk)-1:
		separator = "p"
	}
	return fmt.Sprintf("%s%s%d", disk, separator, number)
}

// netmaskToPrefixLength gives 26 for 255.255.255.192. As in Tinkerbell, a mask with a hole in it gives 0.
func netmaskToPrefixLength(netmask string) (string, error) {
	parsed := net.ParseIP(netmask)
	if parsed == nil {
		return "", fmt.Errorf("invalid netmask format: %s", netmask)
	}
	four := parsed.To4()
	if four == nil {
		return "", fmt.Errorf("netmask must be IPv4: %s", netmask)
	}
	length, _ := net.IPMask(four).Size()
	return fmt.Sprint(length), nil
}

func toYAML(value any) (string, error) {
	text, err := yaml.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("toYaml: %w", err)
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}

func fromYAML(text string) (any, error) {
	if text == "" {
		return nil, errors.New("fromYaml: empty YAML input")
	}
	var value any
	if err := yaml.Unmarshal([]byte(text), &value); err != nil {
		return nil, fmt.Errorf("fromYaml: %w", err)
	}
	return value, nil
}
