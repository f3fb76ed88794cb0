package process

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// family lists a process and all that descend from it. The orphans of a
// replica are its init's children, so none is missed.
func family(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	found := []int{pid}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found, nil
}

// parentOf reads a process's parent from its stat file, whose second field is
// a name in brackets that may hold anything. It is false for one that is gone.
func parentOf(pid int) (int, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}

// outside translates a process ID in the namespace of an init into the host's.
func outside(init, inside int) (int, error) {
	pids, err := family(init)
	if err != nil {
		return 0, fmt.Errorf("find the app's process: %w", err)
	}
	for _, pid := range pids {
		if insideOf(pid) == inside {
			return pid, nil
		}
	}
	return 0, errors.New("find the app's process: it is not below its init")
}

// insideOf is a process's ID in its own, innermost namespace; 0 if unknown.
func insideOf(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if ids, found := strings.CutPrefix(line, "NSpid:"); found {
			all := strings.Fields(ids)
			if len(all) == 0 {
				return 0
			}
			id, _ := strconv.Atoi(all[len(all)-1])
			return id
		}
	}
	return 0
}

// Listening are the TCP ports that the processes of this replica listen on,
// ascending. It is empty once the replica has ended.
func (p *Process) Listening() ([]int, error) {
	init := p.cmd.Process.Pid
	pids, err := family(init)
	if err != nil {
		return nil, fmt.Errorf("list the replica's processes: %w", err)
	}
	select {
	case <-p.done: // its process ID may be somebody else's by now
		return nil, nil
	default:
	}
	ports := map[string]int{}
	for _, name := range []string{"tcp", "tcp6"} {
		err := listeners(fmt.Sprintf("/proc/%d/net/%s", init, name), ports)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("list listening sockets: %w", err)
		}
	}
	var found []int
	look := func() {
		for _, pid := range pids {
			for _, inode := range sockets(pid) {
				if port, ok := ports[inode]; ok {
					found = append(found, port)
				}
			}
		}
	}
	if p.user == 0 {
		look()
	} else {
		withEyesOf(p.user, look)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// listeners reads a table such as /proc/net/tcp into ports by socket inode.
func listeners(path string, ports map[string]int) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if inode, port, ok := listener(lines.Text()); ok {
			ports[inode] = port
		}
	}
	return lines.Err()
}

// listener reads one line: "sl local_address rem_address st … inode", with
// addresses as hexadecimal address:port. It is false unless in state LISTEN.
func listener(line string) (inode string, port int, ok bool) {
	const local, state, node, listen = 1, 3, 9, "0A"
	fields := strings.Fields(line)
	if len(fields) <= node || fields[state] != listen {
		return "", 0, false
	}
	_, hex, _ := strings.Cut(fields[local], ":")
	n, err := strconv.ParseUint(hex, 16, 16)
	if err != nil || n == 0 {
		return "", 0, false
	}
	return fields[node], int(n), true
}

// sockets are the inodes of a process's sockets. What cannot be read belongs
// to a process that is ending.
func sockets(pid int) []string {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	var inodes []string
	for _, e := range entries {
		link, err := os.Readlink(filepath.Join(folder, e.Name()))
		if err != nil {
			continue
		}
		if inode, found := strings.CutPrefix(link, "socket:["); found {
			inodes = append(inodes, strings.TrimSuffix(inode, "]"))
		}
	}
	return inodes
}
