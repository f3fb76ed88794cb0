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
	Environments []struct {
		Name   string `json:"name"`
		URL    string `json:"url"`
		Revert *struct {
			At time.Time `json:"at"`
			// TrafficBack is in seconds; nil where no user had been sent.
			TrafficBack *float64 `json:"trafficBack"`
		} `json:"revert"`
	} `json:"environments"`
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

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
