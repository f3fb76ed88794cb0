package dockerfile

import (
	"io/fs"
	"path/filepath"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// mounts are the folders that the builder may read, by the names that the
// Dockerfile frontend has for them.
func (s Spec) mounts() (map[string]fsutil.FS, error) {
	context, err := folder(filepath.Join(s.Dir, s.Context))
	if err != nil {
		return nil, err
	}
	beside, err := folder(filepath.Dir(filepath.Join(s.Dir, s.Path)))
	if err != nil {
		return nil, err
	}
	return map[string]fsutil.FS{"context": context, "dockerfile": beside}, nil
}

// folder shows files with the modes that packed ones get: what their owner may
// execute is 0755, the rest 0644, so that the umask of a checkout is not in the
// image. Owners are left out by the client.
func folder(dir string) (fsutil.FS, error) {
	files, err := fsutil.NewFS(dir)
	if err != nil {
		return nil, err
	}
	return fsutil.NewFilterFS(files, &fsutil.FilterOpt{Map: func(_ string, s *types.Stat) fsutil.MapResult {
		mode := fs.FileMode(s.Mode)
		switch {
		case mode&fs.ModeSymlink != 0:
		case mode.IsDir(), mode&0o100 != 0:
			mode = mode&^fs.ModePerm | 0o755
		default:
			mode = mode&^fs.ModePerm | 0o644
		}
		s.Mode = uint32(mode)
		return fsutil.MapResultKeep
	}})
}
