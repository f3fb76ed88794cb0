package process

// The two sides of a replica talk over two pipes. The caller writes one
// request, then one acknowledgement, to the control pipe, and holds it open
// for as long as the replica shall live: to close it ends the replica. The init writes messages to the
// report pipe. Neither the arguments nor the environment of the init carry
// anything, because others can read those of a running process.

// The init's file descriptors.
const (
	controlFD = 3
	reportFD  = 4
)

// confirmation is the caller's word that he knows the app.
const confirmation = '!'

// request is what the init shall do.
type request struct {
	// Probe asks only whether a replica could be built.
	Probe   bool     `json:"probe,omitempty"`
	ID      string   `json:"id"`
	Root    string   `json:"root"`
	Argv    []string `json:"argv"`
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
	Scratch int64    `json:"scratch"`
}

// message is what the init tells; one field is set.
type message struct {
	// Note is good to know for who reads the replica's log.
	Note string `json:"note,omitempty"`
	// Failed: nothing runs.
	Failed *failure `json:"failed,omitempty"`
	// Started is the app's process ID inside; for a probe it is the init's.
	Started int `json:"started,omitempty"`
	// Exit: the app has ended.
	Exit *Exit `json:"exit,omitempty"`
}

// failure is an error on its way from the init to the caller.
type failure struct {
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
	// Image marks an ErrImage.
	Image bool `json:"image,omitempty"`
	// Denied marks a refusal by the kernel that Supported explains.
	Denied bool `json:"denied,omitempty"`
}

func (r Spec) request() request {
	scratch, dir := r.Scratch, r.Dir
	if scratch == 0 {
		scratch = DefaultScratch
	}
	if dir == "" {
		dir = "/"
	}
	return request{ID: r.ID, Root: r.Root, Argv: r.Argv, Env: r.Env, Dir: dir, Scratch: scratch}
}
