package objects

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The types below declare the v1alpha1 Hardware as Tinkerbell v0.25 serves it. Its own Go declaration is in a
// module that the proxy does not have. A Template sees three things of them, which therefore must agree with
// Tinkerbell's: the Go names (`.DHCP.IP.Netmask`), the JSON names (`.hardware.spec...`), and the order of the
// fields (`toJson`). What the fields mean is said in the CRD; the test compares the JSON names with it.

// Hardware is one machine as Tinkerbell knows it.
type Hardware struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   HardwareSpec   `json:"spec,omitempty"`
	Status HardwareStatus `json:"status,omitempty"`
}

// HardwareStatus is what Tinkerbell itself says of the machine.
type HardwareStatus struct {
	State string `json:"state,omitempty"`
}

// HardwareSpec is what the owner says of the machine.
type HardwareSpec struct {
	AgentID    string                            `json:"agentID,omitempty"`
	Auto       Auto                              `json:"auto,omitempty"`
	BMCRef     *corev1.TypedLocalObjectReference `json:"bmcRef,omitempty"`
	Interfaces []Interface                       `json:"interfaces,omitempty"`
	References map[string]Reference              `json:"references,omitempty"`
	Metadata   *HardwareMetadata                 `json:"metadata,omitempty"`

	TinkVersion int64                        `json:"tinkVersion,omitempty"`
	Disks       []Disk                       `json:"disks,omitempty"`
	Resources   map[string]resource.Quantity `json:"resources,omitempty"`
	UserData    *string                      `json:"userData,omitempty"`
	VendorData  *string                      `json:"vendorData,omitempty"`
}

// Auto switches automatic enrolment.
type Auto struct {
	EnrollmentEnabled bool `json:"enrollmentEnabled,omitempty"`
}

// Reference names another object that a Template may read.
type Reference struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Group     string `json:"group,omitempty"`
	Version   string `json:"version,omitempty"`
	Resource  string `json:"resource,omitempty"`
}

// Disk is one whole disk, by its device path.
type Disk struct {
	Device string `json:"device,omitempty"`
}

// Interface is one network interface.
type Interface struct {
	Netboot     *Netboot `json:"netboot,omitempty"`
	Isoboot     *Isoboot `json:"isoboot,omitempty"`
	DHCP        *DHCP    `json:"dhcp,omitempty"`
	DisableDHCP bool     `json:"disableDhcp,omitempty"`
}

// Isoboot is the address of a boot ISO.
type Isoboot struct {
	SourceISO string `json:"sourceISO,omitempty"`
}

// Netboot says whether and what the interface boots from the network.
type Netboot struct {
	AllowPXE      *bool     `json:"allowPXE,omitempty"`
	AllowWorkflow *bool     `json:"allowWorkflow,omitempty"`
	IPXE          *IPXE     `json:"ipxe,omitempty"`
	OSIE          *OSIE     `json:"osie,omitempty"`
	PXELINUX      *PXELINUX `json:"pxelinux,omitempty"`
	RPI           *RPI      `json:"rpi,omitempty"`
}

// IPXE is the script that iPXE runs, or where it is.
type IPXE struct {
	URL      string `json:"url,omitempty"`
	Contents string `json:"contents,omitempty"`
	Binary   string `json:"binary,omitempty"`
}

// OSIE is the in-memory OS that the machine boots.
type OSIE struct {
	BaseURL      string   `json:"baseURL,omitempty"`
	Kernel       string   `json:"kernel,omitempty"`
	Initrd       string   `json:"initrd,omitempty"`
	KernelParams []string `json:"kernelParams,omitempty"`
}

// PXELINUX is a configuration for u-boot.
type PXELINUX struct {
	Config string `json:"config,omitempty"`
}

// RPI is what a Raspberry Pi asks for when it boots from the network.
type RPI struct {
	ConfigTxt    string `json:"configTxt,omitempty"`
	FirmwarePath string `json:"firmwarePath,omitempty"`
	SerialNum    string `json:"serialNum"`
}

// DHCP is what the interface is offered.
type DHCP struct {
	MAC                   string                 `json:"mac,omitempty"`
	Hostname              string                 `json:"hostname,omitempty"`
	DomainName            string                 `json:"domain_name,omitempty"`
	LeaseTime             int64                  `json:"lease_time,omitempty"`
	NameServers           []string               `json:"name_servers,omitempty"`
	TimeServers           []string               `json:"time_servers,omitempty"`
	Arch                  string                 `json:"arch,omitempty"`
	UEFI                  bool                   `json:"uefi,omitempty"`
	IfaceName             string                 `json:"iface_name,omitempty"`
	IP                    *IP                    `json:"ip,omitempty"`
	VLANID                string                 `json:"vlan_id,omitempty"`
	ClasslessStaticRoutes []ClasslessStaticRoute `json:"classless_static_routes,omitempty"`
	TFTPServerName        string                 `json:"tftp_server_name,omitempty"`
	BootFileName          string                 `json:"boot_file_name,omitempty"`
}

// IP is the interface's address.
type IP struct {
	Address string `json:"address,omitempty"`
	Netmask string `json:"netmask,omitempty"`
	Gateway string `json:"gateway,omitempty"`
	Family  int64  `json:"family,omitempty"`
}

// ClasslessStaticRoute is a route of DHCP's option 121.
type ClasslessStaticRoute struct {
	DestinationDescriptor string `json:"destination_descriptor"`
	Router                string `json:"router"`
}
