package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/slipway-ci/slipway/deploy"
)

// load is how busy copies are, in percent of the CPU that each asks for. They may
// use more than that.
type load int

var loadForm = newForm(`^[1-9][0-9]{0,2}%?$`,
	"a percentage from 1% to 999%", "write one such as 70%: the average of all copies, of the CPU that each asks for")

func (v *load) read(r *reader, p place) bool {
	var s string
	if !readScalar(r, p, &s, loadForm) {
		return false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(s, "%"))
	*v = load(n)
	return err == nil || r.wrong(p, loadForm.expected, loadForm.hint)
}

func (load) JSONSchema() *jsonschema.Schema { return orNumber(loadForm, "integer") }

// compile leaves Min zero where nothing is said of it.
func (a *autoscale) compile() *deploy.Autoscale {
	if a == nil {
		return nil
	}
	return &deploy.Autoscale{Min: int(or(a.Min, 0)), Max: int(a.Max), CPU: int(or(a.CPU, deploy.DefaultAutoscaleCPU))}
}

// autoscaled makes the fewest copies those that a version starts with, and refuses
// bounds between which there is nothing.
func (r *reader) autoscaled(e *named, out *deploy.Environment) {
	a := out.Target.Cluster.Autoscale
	if a == nil {
		return
	}
	if a.Min == 0 {
		a.Min = out.Service.Replicas
	}
	out.Service.Replicas = a.Min
	written := e.Target.cluster.Autoscale
	if a.Max >= a.Min || !r.good(&written.Max) {
		return
	}
	r.add(r.at(&written.Max).mark(), Error{
		Message: fmt.Sprintf("max: %d copies at most are fewer than the %d that %s has at least", a.Max, a.Min, e.name),
		Hint:    fmt.Sprintf("write %d or more, or a smaller min", a.Min),
	})
}
