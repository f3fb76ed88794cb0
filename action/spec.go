package action

import "github.com/slipway-ci/slipway/deploy"

// Spec describes one input or output of action.yml.
type Spec struct {
	Name string
	// Description is one sentence or two, as action.yml has it.
	Description string
	// Default is what an input has when the workflow says nothing; outputs
	// have none.
	Default  string
	Required bool
}

// The names of the inputs.
const (
	InputCommand          = "command"
	InputConfig           = "config"
	InputVersion          = "version"
	InputEnvironment      = "environment"
	InputStrategy         = "strategy"
	InputOperation        = "operation"
	InputReason           = "reason"
	InputDryRun           = "dry-run"
	InputPush             = "push"
	InputMoveTags         = "move-tags"
	InputImage            = "image"
	InputArchive          = "archive"
	InputPlan             = "plan"
	InputSkipOrder        = "skip-order"
	InputPullRequest      = "pull-request"
	InputRepair           = "repair"
	InputReport           = "report"
	InputCommitStatus     = "commit-status"
	InputRegistryUser     = "registry-user"
	InputRegistryPassword = "registry-password"
	InputKubeconfig       = "kubeconfig"
	InputGitHubToken      = "github-token"
	InputWorkingDirectory = "working-directory"
)

// InputSpecs are all inputs, in the order in which action.yml has them.
func InputSpecs() []Spec {
	return []Spec{
		{Name: InputCommand, Default: Auto, Description: "What to do: auto (chosen by the event), release, build, plan, preview, reap, promote, rollback, pause, resume, abort, settle, drift, status, history, images, prune or validate."},
		{Name: InputConfig, Description: "Path of slipway.yaml, relative to working-directory. Left out: slipway.yaml or slipway.yml there or under .github."},
		{Name: InputVersion, Description: "The version to release, promote or roll back to, such as 1.4.2; to promote or roll back also which one: ~1.4, latest, previous. Left out: from the tag, or computed from git."},
		{Name: InputEnvironment, Description: "The environment to promote to or to roll back. A release without it goes through all of them in their order."},
		{Name: InputStrategy, Description: "Overrides the strategy in slipway.yaml: recreate, rolling, blue-green or canary."},
		{Name: InputOperation, Description: "What auto does when the workflow was started by hand: release, promote, rollback, pause, resume, abort or preview. Left out: the input of that name that the workflow was started with."},
		{Name: InputReason, Description: "Why this is done, for the lock on the environment and for the reports. Left out: the input of that name that the workflow was started with."},
		{Name: InputDryRun, Default: "false", Description: "true shows what would happen, and changes nothing."},
		{Name: InputPush, Default: "false", Description: "With the command build: true pushes the image, too."},
		{Name: InputMoveTags, Default: "false", Description: "With the command build and push: true moves the tags that slipway.yaml names, too, though nothing is released."},
		{Name: InputImage, Description: "An image that is built already and is in a registry, by tag or digest, in place of what slipway.yaml says: it is verified and gets the version's tag."},
		{Name: InputArchive, Description: "Path of an image on disk, relative to working-directory, in place of what slipway.yaml says: an OCI layout, or what docker save has written."},
		{Name: InputPlan, Description: "Path of a plan, relative to working-directory: the release does exactly what it says, or nothing."},
		{Name: InputSkipOrder, Default: "false", Description: "true does without the environment that this one comes after. It needs a reason, which is recorded."},
		{Name: InputPullRequest, Description: "With the command preview: the number of the pull request. Left out: that of the event."},
		{Name: InputRepair, Default: "false", Description: "With the command drift: true puts back what differs from what was released."},
		{Name: InputReport, Default: "slipway-report.json", Description: "Path of the JSON report to write, relative to working-directory. Empty: none is written."},
		{Name: InputCommitStatus, Default: "false", Description: "true sets a status of the commit for each environment, too (statuses: write)."},
		{Name: InputRegistryUser, Description: "User name for the registry of the image. Left out: as docker/login-action, the cloud or, for ghcr.io, the token of the job opens it."},
		{Name: InputRegistryPassword, Description: "Password that goes with registry-user; it is masked."},
		{Name: InputKubeconfig, Description: "Text of a kubeconfig, from a secret, for environments in Kubernetes; what is secret in it is masked. Left out: the files in KUBECONFIG, or ~/.kube/config."},
		{Name: InputGitHubToken, Default: "${{ github.token }}", Description: "Token for deployments (deployments: write) and the comment on the pull request (pull-requests: write). Empty: neither is written."},
		{Name: InputWorkingDirectory, Default: ".", Description: "Folder to work in, relative to the workspace."},
	}
}

// The names of the outputs.
const (
	OutputOutcome          = "outcome"
	OutputVersion          = "version"
	OutputImage            = "image"
	OutputDigest           = "digest"
	OutputRevision         = "revision"
	OutputPreviousRevision = "previous-revision"
	OutputEnvironment      = "environment"
	OutputURL              = "url"
	OutputDeploymentID     = "deployment-id"
	OutputPlan             = "plan"
	OutputDrift            = "drift"
	OutputReport           = "report"
)

// OutputSpecs are all outputs, in the order in which action.yml has them.
// Where a run goes through several environments, those about one environment
// are about the last one that the run came to.
func OutputSpecs() []Spec {
	return []Spec{
		{Name: OutputOutcome, Description: "How it ended: promoted, unchanged, failed, reverted, held or unknown."},
		{Name: OutputVersion, Description: "The version, such as 1.4.2."},
		{Name: OutputImage, Description: "The image with its digest, such as ghcr.io/acme/hello@sha256:…."},
		{Name: OutputDigest, Description: "The digest of the image, sha256:…."},
		{Name: OutputRevision, Description: "The revision: hash of image, configuration and versions of secrets."},
		{Name: OutputPreviousRevision, Description: "The revision that was live before; empty on a first deployment."},
		{Name: OutputEnvironment, Description: "The last environment that the run came to."},
		{Name: OutputURL, Description: "The address of that environment."},
		{Name: OutputDeploymentID, Description: "The id of the GitHub deployment for that environment."},
		{Name: OutputPlan, Description: "The plan for that environment, as JSON."},
		{Name: OutputDrift, Description: "With the command drift: how many differences were found, in all environments together; empty where it could not be told."},
		{Name: OutputReport, Description: "The path of the JSON report, relative to the workspace; empty where none was written."},
	}
}

// strategies are the valid values of the input strategy.
func strategies() []string {
	names := make([]string, 0, len(deploy.Kinds))
	for _, kind := range deploy.Kinds {
		names = append(names, string(kind))
	}
	return names
}
