package sqlite

import "fmt"

// networkFS are the file systems on which SQLite's locks or its shared memory do
// not hold, by the number that statfs(2) returns on Linux. FUSE is among them
// because what lies behind it cannot be known; virtiofs shows as FUSE.
var networkFS = map[uint32]string{
	0x00006969: "NFS",
	0x0000517b: "SMB",
	0xfe534d42: "SMB",
	0xff534d42: "CIFS",
	0x65735546: "FUSE or virtiofs",
	0x01021997: "9p",
	0x00c36400: "Ceph",
	0x5346414f: "AFS",
	0x73757245: "Coda",
	0x0bd00bd0: "Lustre",
	0x47504653: "GPFS",
	0x19830326: "BeeGFS",
	0x01161970: "GFS2",
	0x7461636f: "OCFS2",
}

// judgeFS refuses path on a file system of that number.
func judgeFS(path string, magic uint32) error {
	if name, ok := networkFS[magic]; ok {
		return fmt.Errorf("%s is on a network file system (%s), where SQLite's locks do not work; move it to a local disk", path, name)
	}
	return nil
}
