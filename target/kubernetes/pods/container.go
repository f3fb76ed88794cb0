package pods

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// container judges one of a pod. One that has to end before the others start is
// done when it has.
func (l Limits) container(pod *corev1.Pod, s *corev1.ContainerStatus, ends bool, now time.Time) Verdict {
	v := l.state(pod, s, ends, now)
	v.Container, v.Restarts = s.Name, int(s.RestartCount)
	return v
}

func (l Limits) state(pod *corev1.Pod, s *corev1.ContainerStatus, ends bool, now time.Time) Verdict {
	last := s.LastTerminationState.Terminated
	switch now := s.State; {
	case now.Waiting != nil && (last == nil || beforeStart(now.Waiting.Reason)):
		return waiting(s.Image, now.Waiting)
	case now.Waiting != nil:
		return l.ended(last, int(s.RestartCount)+1, now.Waiting.Reason)
	case now.Terminated != nil && ends && now.Terminated.ExitCode == 0:
		return Verdict{State: Ready, Told: "has done its work"}
	case now.Terminated != nil && neverAgain(pod, now.Terminated):
		v := l.ended(now.Terminated, 1, "")
		v.State = Doomed // its first run was the last one
		return v
	case now.Terminated != nil:
		return l.ended(now.Terminated, int(s.RestartCount)+1, "")
	case now.Running == nil:
		return Verdict{State: Waiting, Told: "is being started"}
	}
	return l.running(s, ends, now)
}

// neverAgain reports whether a container that has ended is not started again.
func neverAgain(pod *corev1.Pod, t *corev1.ContainerStateTerminated) bool {
	switch pod.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return t.ExitCode != 0
	case corev1.RestartPolicyOnFailure, corev1.RestartPolicyAlways:
	}
	return pod.Status.Phase == corev1.PodFailed
}

// running judges a container that runs now.
func (l Limits) running(s *corev1.ContainerStatus, ends bool, now time.Time) Verdict {
	last := s.LastTerminationState.Terminated
	if last != nil && !s.Ready && now.Sub(s.State.Running.StartedAt.Time) < steady {
		// The run that is under way may be the one that gets well, unless more
		// have failed than may fail.
		v := l.ended(last, int(s.RestartCount), "")
		v.Told, v.previous = v.Told+"; it runs again", true
		return v
	}
	switch {
	case ends:
		return Verdict{State: Waiting, Cause: NotReady, Told: "is not ready: its init container " + s.Name + " is at work"}
	case s.Ready:
		return Verdict{State: Ready, Told: "is ready"}
	case s.Started != nil && !*s.Started:
		return Verdict{State: Waiting, Cause: NotReady, Told: "has not started up yet: its startup probe has not succeeded"}
	}
	return Verdict{State: Waiting, Cause: NotReady, Told: "runs, and is not ready"}
}

// ended judges a container that has ended so many times, by how it did the last
// time.
func (l Limits) ended(t *corev1.ContainerStateTerminated, times int, waits string) Verdict {
	code := t.ExitCode
	v := Verdict{
		State: Waiting, Cause: Crash, Reason: t.Reason, Message: t.Message, ExitCode: &code,
		Told: exit(t) + runs(times), Hint: "its last lines say why, as a rule",
	}
	if waits != "" {
		v.Reason = waits
	}
	long := ran(t) >= steady
	switch {
	case notBegun(t):
		v.Cause, v.Told = CannotRun, "cannot be started"+runs(times)+because("", t.Message)
		v.Hint = "look at entrypoint and platform of the image, and at command and volumes of the container"
		if final(t) || times > l.restarts() {
			v.State = Doomed
		}
	case t.Reason == "OOMKilled":
		v.Cause = OutOfMemory
		v.Told = "was killed for using more memory than its limit" + after(t) + runs(times)
		v.Hint = "raise its memory limit, or find out what needs so much"
		if times >= oomRuns && !long {
			v.State = Doomed
		}
	case times > l.restarts() && !long:
		v.State = Doomed
	}
	return v
}

// notBegun reports whether not even the first instruction was run.
func notBegun(t *corev1.ContainerStateTerminated) bool {
	return t.Reason == "ContainerCannotRun" || t.Reason == "StartError"
}

// final reports whether a container that was not begun never will be. Runtimes
// use exit code 128 also for what goes away; what they say tells which it is.
func final(t *corev1.ContainerStateTerminated) bool {
	return t.Reason == "ContainerCannotRun" && t.ExitCode != 128 || stays(t.Message)
}

// stays reports whether what keeps a runtime from starting a container is in
// its image or its specification.
func stays(message string) bool {
	return containsAny(message,
		"no such file or directory", "executable file not found", "permission denied", "exec format error",
		"not a directory", "is a directory", "no command specified", "unable to find user", "unable to find group",
		"no users found", "no matching entries")
}

// beforeStart reports whether a container waits for something that comes before
// it can run, whatever became of an earlier run.
func beforeStart(reason string) bool {
	switch reason {
	case "", "CrashLoopBackOff", "PodInitializing", "ContainerCreating":
		return false
	}
	return true
}

// waiting judges a container that has not been begun.
func waiting(image string, w *corev1.ContainerStateWaiting) Verdict {
	v := Verdict{State: Waiting, Reason: w.Reason, Message: w.Message}
	switch w.Reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError":
		return pulling(v, image)
	case "InvalidImageName", "ErrImageNeverPull", "SignatureValidationFailed":
		v.State, v.Cause = Doomed, ImageRefused
		v.Told, v.Hint = "cannot have its image "+image+because(w.Reason, w.Message), "look at the image's name, and at the pull policy"
	case "CreateContainerConfigError":
		v.Cause = BadConfig
		v.Told = "cannot be configured" + because("", w.Message)
		v.Hint = "look at the ConfigMaps and Secrets that it takes values from, and at its security context"
		if !containsAny(w.Message, "failed to sync") {
			v.State = Doomed
		}
	case "CreateContainerError", "RunContainerError":
		v.Cause = CannotRun
		v.Told = "cannot be started" + because(w.Reason, w.Message)
		v.Hint = "look at entrypoint and platform of the image, and at command and volumes of the container"
		if stays(w.Message) {
			v.State = Doomed
		}
	case "", "ContainerCreating", "PodInitializing":
		v.Told = "is being started" + because("", w.Message)
	default:
		v.Cause, v.Told = NotReady, "waits"+because(w.Reason, w.Message)
	}
	return v
}

// exit is how a run ended, in words.
func exit(t *corev1.ContainerStateTerminated) string {
	s := fmt.Sprintf("exited with code %d", t.ExitCode)
	switch {
	case t.Signal != 0:
		s = fmt.Sprintf("was ended by signal %d", t.Signal)
	case t.ExitCode == 137:
		s += " (killed)"
	case t.ExitCode == 139:
		s += " (segmentation fault)"
	case t.ExitCode == 143:
		s += " (asked to end)"
	}
	return s + after(t) + because("", t.Message)
}

// after is how long a run took; the cluster tells times in whole seconds.
func after(t *corev1.ContainerStateTerminated) string {
	switch d := ran(t); {
	case t.StartedAt.IsZero() || t.FinishedAt.IsZero() || d < 0:
		return ""
	case d < time.Second:
		return " within a second"
	default:
		return " after " + d.String()
	}
}

func ran(t *corev1.ContainerStateTerminated) time.Duration { return t.FinishedAt.Sub(t.StartedAt.Time) }

func runs(times int) string {
	if times < 2 {
		return ""
	}
	return fmt.Sprintf(", %d times", times)
}

func containsAny(text string, parts ...string) bool {
	text = strings.ToLower(text)
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}
