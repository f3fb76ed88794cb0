package workshop

import "time"

// Report is the part of the JSON report that is read here; report.schema.json
// describes all of it.
type Report struct {
	Outcome string `json:"outcome"`
	Message string `json:"message"`
	Steps   []struct {
		Name string `json:"name"`
		// Took is in seconds.
		Took float64 `json:"took"`
	} `json:"steps"`
	Environments []EnvironmentReport `json:"environments"`
	Image        struct {
		Repository string `json:"repository"`
		Digest     string `json:"digest"`
	} `json:"image"`
	// Cluster is what was asked of Kubernetes.
	Cluster struct {
		Requests int `json:"requests"`
		Asked    []struct {
			What  string `json:"what"`
			Times int    `json:"times"`
		} `json:"asked"`
	} `json:"cluster"`
	Ended time.Time `json:"ended"`
}

// EnvironmentReport is what came of one environment.
type EnvironmentReport struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// Revert is nil where it did not go back.
	Revert *Revert `json:"revert"`
	Stages []struct {
		Ended time.Time `json:"ended"`
	} `json:"stages"`
}

// Revert is the way back.
type Revert struct {
	// At is when it was decided, Reason why, in one sentence.
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
	// TrafficBack is in seconds; nil where no user had been sent.
	TrafficBack *float64 `json:"trafficBack"`
}

// Step is how long a step took; zero where there was none of that name.
func (r *Report) Step(name string) time.Duration {
	for _, s := range r.Steps {
		if s.Name == name {
			return seconds(s.Took)
		}
	}
	return 0
}

// URL is the address of an environment; empty where the run did not come to it.
func (r *Report) URL(environment string) string {
	for _, e := range r.Environments {
		if e.Name == environment {
			return e.URL
		}
	}
	return ""
}

// Back is when it was decided to go back in an environment, and how long it
// took until no user was sent to the new version; false where neither happened.
func (r *Report) Back(environment string) (decided time.Time, took time.Duration, ok bool) {
	for _, e := range r.Environments {
		if e.Name == environment && e.Revert != nil && e.Revert.TrafficBack != nil {
			return e.Revert.At, seconds(*e.Revert.TrafficBack), true
		}
	}
	return time.Time{}, 0, false
}

// Reason is why it went back in an environment; empty where it did not.
func (r *Report) Reason(environment string) string {
	for _, e := range r.Environments {
		if e.Name == environment && e.Revert != nil {
			return e.Revert.Reason
		}
	}
	return ""
}

// After is how long it went on after the last stage in an environment, when all
// users were on the new version; zero where there was no stage.
func (r *Report) After(environment string) time.Duration {
	for _, e := range r.Environments {
		if n := len(e.Stages); e.Name == environment && n > 0 {
			return r.Ended.Sub(e.Stages[n-1].Ended)
		}
	}
	return 0
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
