package validate

import (
	"nibs.invalid/tinkerbell/internal/objects"
)

// kkpWorkflow is a Workflow with the keys that KKP's machine-controller gives, all of them and no other.
func kkpWorkflow(namespace string) *objects.Workflow {
	workflow := &objects.Workflow{Spec: objects.WorkflowSpec{
		TemplateRef: kkpTemplate,
		HardwareRef: "example",
		HardwareMap: map[string]string{
			"device_1":          "02:00:00:00:00:09",
			"hardware_name":     "example",
			"cloud_init_script": "I2Nsb3VkLWNvbmZpZwpob3N0bmFtZTogeAo=",
			"interface_name":    "enp1s0",
			"cidr":              "192.0.2.19/26",
			"ns":                "192.0.2.54",
			"default_route":     "192.0.2.1",
			"partition_number":  "3",
			"os_image":          "http://192.0.2.99/u.raw.gz?a=b&c=d",
		},
	}}
	workflow.Name, workflow.Namespace = kkpTemplate, namespace
	return workflow
}

// kkpHardware is the machine of that Workflow.
func kkpHardware(namespace string) objects.Document {
	return objects.Document{Place: "example", Kind: "Hardware", Namespace: namespace, Name: "example", JSON: []byte(`{
		"apiVersion": "tinkerbell.org/v1alpha1", "kind": "Hardware", "metadata": {"name": "example"},
		"spec": {
			"disks": [{"device": "/dev/nvme0n1"}, {"device": "/dev/sda"}],
			"userData": "#cloud-config\nhostname: x\n",
			"interfaces": [{
				"netboot": {"allowPXE": true, "allowWorkflow": true},
				"dhcp": {
					"mac": "02:00:00:00:00:09", "hostname": "example", "lease_time": 86400, "arch": "x86_64", "uefi": true,
					"name_servers": ["192.0.2.53", "192.0.2.54"], "iface_name": "enp1s0",
					"ip": {"address": "192.0.2.19", "netmask": "255.255.255.192", "gateway": "192.0.2.1"}
				}
			}]
		}
	}`)}
}
