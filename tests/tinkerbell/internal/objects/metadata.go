package objects

// HardwareMetadata is what the metadata service of Tinkerbell tells the machine of itself.
type HardwareMetadata struct {
	State        string                `json:"state,omitempty"`
	BondingMode  int64                 `json:"bonding_mode,omitempty"`
	Manufacturer *MetadataManufacturer `json:"manufacturer,omitempty"`
	Instance     *MetadataInstance     `json:"instance,omitempty"`
	Custom       *MetadataCustom       `json:"custom,omitempty"`
	Facility     *MetadataFacility     `json:"facility,omitempty"`
}

// MetadataManufacturer is who made the machine.
type MetadataManufacturer struct {
	ID   string `json:"id,omitempty"`
	Slug string `json:"slug,omitempty"`
}

// MetadataFacility is where the machine stands.
type MetadataFacility struct {
	PlanSlug        string `json:"plan_slug,omitempty"`
	PlanVersionSlug string `json:"plan_version_slug,omitempty"`
	FacilityCode    string `json:"facility_code,omitempty"`
}

// MetadataCustom is the rest.
type MetadataCustom struct {
	PreinstalledOperatingSystemVersion *OperatingSystem `json:"preinstalled_operating_system_version,omitempty"`
	PrivateSubnets                     []string         `json:"private_subnets,omitempty"`
}

// OperatingSystem is an operating system by its names.
type OperatingSystem struct {
	Slug     string `json:"slug,omitempty"`
	Distro   string `json:"distro,omitempty"`
	Version  string `json:"version,omitempty"`
	ImageTag string `json:"image_tag,omitempty"`
	OsSlug   string `json:"os_slug,omitempty"`
}

// MetadataInstance is the node that runs on the machine.
type MetadataInstance struct {
	ID                  string           `json:"id,omitempty"`
	State               string           `json:"state,omitempty"`
	Hostname            string           `json:"hostname,omitempty"`
	AllowPxe            bool             `json:"allow_pxe,omitempty"`
	Rescue              bool             `json:"rescue,omitempty"`
	OperatingSystem     *OperatingSystem `json:"operating_system,omitempty"`
	AlwaysPxe           bool             `json:"always_pxe,omitempty"`
	IpxeScriptURL       string           `json:"ipxe_script_url,omitempty"`
	Ips                 []*InstanceIP    `json:"ips,omitempty"`
	Userdata            string           `json:"userdata,omitempty"`
	CryptedRootPassword string           `json:"crypted_root_password,omitempty"`
	Tags                []string         `json:"tags,omitempty"`
	Storage             *InstanceStorage `json:"storage,omitempty"`
	SSHKeys             []string         `json:"ssh_keys,omitempty"`
	NetworkReady        bool             `json:"network_ready,omitempty"`
}

// InstanceIP is an address of the node.
type InstanceIP struct {
	Address    string `json:"address,omitempty"`
	Netmask    string `json:"netmask,omitempty"`
	Gateway    string `json:"gateway,omitempty"`
	Family     int64  `json:"family,omitempty"`
	Public     bool   `json:"public,omitempty"`
	Management bool   `json:"management,omitempty"`
}

// InstanceStorage is how the node's disks are to be laid out.
type InstanceStorage struct {
	Disks       []*StorageDisk       `json:"disks,omitempty"`
	Raid        []*StorageRAID       `json:"raid,omitempty"`
	Filesystems []*StorageFilesystem `json:"filesystems,omitempty"`
}

// StorageDisk is one disk and its partitions.
type StorageDisk struct {
	Device     string              `json:"device,omitempty"`
	WipeTable  bool                `json:"wipe_table,omitempty"`
	Partitions []*StoragePartition `json:"partitions,omitempty"`
}

// StoragePartition is one partition.
type StoragePartition struct {
	Label    string `json:"label,omitempty"`
	Number   int64  `json:"number,omitempty"`
	Size     int64  `json:"size,omitempty"`
	Start    int64  `json:"start,omitempty"`
	TypeGUID string `json:"type_guid,omitempty"`
}

// StorageRAID is one array.
type StorageRAID struct {
	Name    string   `json:"name,omitempty"`
	Level   string   `json:"level,omitempty"`
	Devices []string `json:"devices,omitempty"`
	Spare   int64    `json:"spare,omitempty"`
}

// StorageFilesystem is one filesystem.
type StorageFilesystem struct {
	Mount *StorageMount `json:"mount,omitempty"`
}

// StorageMount is where a filesystem is made and mounted.
type StorageMount struct {
	Device string                `json:"device,omitempty"`
	Format string                `json:"format,omitempty"`
	Files  []*StorageFile        `json:"files,omitempty"`
	Create *StorageFormatOptions `json:"create,omitempty"`
	Point  string                `json:"point,omitempty"`
}

// StorageFile is a file to be written.
type StorageFile struct {
	Path     string `json:"path,omitempty"`
	Contents string `json:"contents,omitempty"`
	Mode     int64  `json:"mode,omitempty"`
	UID      int64  `json:"uid,omitempty"`
	GID      int64  `json:"gid,omitempty"`
}

// StorageFormatOptions are arguments for mkfs.
type StorageFormatOptions struct {
	Force   bool     `json:"force,omitempty"`
	Options []string `json:"options,omitempty"`
}
