package config

// document is slipway.yaml as it is written. The yaml tags are its keys, the
// jsonschema tags what an editor and the reader both demand; ranges and
// patterns belong to the types of the values.
type document struct {
	App          label        `yaml:"app" jsonschema:"required" jsonschema_description:"The app's name."`
	ReleasedFrom []origin     `yaml:"released-from" jsonschema_description:"Other repositories on GitHub that release this app, too, or did before it moved. Left out: none."`
	Image        *repository  `yaml:"image" jsonschema_description:"The repository that the image is pushed to, without tag or digest. Left out: the registry that the sandbox holds."`
	Login        *login       `yaml:"login" jsonschema_description:"How the image's registry is logged in to by the OIDC token of the job. Left out: as docker login left it."`
	Version      *versioning  `yaml:"version" jsonschema_description:"How the version of a commit without a version tag is worked out."`
	Tags         floatings    `yaml:"tags" jsonschema_description:"Tags that follow the highest stable version that was released: minor (1.4), major (1), latest. Left out: none."`
	Mirrors      mirrors      `yaml:"mirrors" jsonschema_description:"Where base images of a registry are read first, by the registry's name. Left out: at the registry."`
	Prune        *prune       `yaml:"prune" jsonschema_description:"Which old images slipway prune and slipway reap remove. Left out: reap removes none."`
	Build        build        `yaml:"build" jsonschema:"required" jsonschema_description:"What the image is made of."`
	Service      service      `yaml:"service" jsonschema_description:"What a version runs with, in every environment."`
	Checks       []check      `yaml:"checks" jsonschema_description:"Questions that a running version has to answer well before it is promoted."`
	Tasks        tasks        `yaml:"tasks" jsonschema_description:"One-off work around each deployment, such as a migration."`
	Judge        *judge       `yaml:"judge" jsonschema_description:"How the users of both versions decide, where an environment says nothing else. Left out: as the keys below say."`
	Environments environments `yaml:"environments" jsonschema:"required" jsonschema_description:"Where the app runs, by name: at least one to release to, besides preview."`
}

type login struct {
	Exchange exchange  `yaml:"exchange" jsonschema:"required" jsonschema_description:"The https address where the token is exchanged for a password (RFC 8693)."`
	Audience audience  `yaml:"audience" jsonschema:"required" jsonschema_description:"Whom the token is issued for, and what the exchange is asked for."`
	User     *userName `yaml:"user" jsonschema_description:"The user name that goes with the password. Left out: oauth2accesstoken."`
	Scope    *scope    `yaml:"scope" jsonschema_description:"What the password shall allow, separated by spaces. Left out: what is given without."`
}

type prune struct {
	Keep      *kept     `yaml:"keep-newest" jsonschema_description:"How many of the newest versions stay, whatever their age. Left out: 10."`
	OlderThan *lifetime `yaml:"older-than" jsonschema_description:"How old the others have to be, by the time of their commit. Left out: 720h."`
	Pattern   *pattern  `yaml:"pattern" jsonschema_description:"Which versions it is about, with * and ?. Left out: all pre-releases."`
	Stable    *truth    `yaml:"stable" jsonschema_description:"Whether stable versions may go, too. Left out: false."`
}

type build struct {
	Base       *baseImage `yaml:"base" jsonschema_description:"The image to build on. Left out: from scratch."`
	Files      []copied   `yaml:"files" jsonschema_description:"Files and folders that are copied into the image, in this order."`
	Entrypoint []argument `yaml:"entrypoint" jsonschema_description:"The command that the image runs, with its arguments. Left out: the base's."`
	Platform   *platform  `yaml:"platform" jsonschema_description:"Operating system and architecture. Left out: linux on the architecture of the machine that builds."`

	Dockerfile  *localPath    `yaml:"dockerfile" jsonschema_description:"A Dockerfile that BuildKit builds the image from, in place of base and files."`
	Context     *localPath    `yaml:"context" jsonschema_description:"The folder that the Dockerfile copies from. Left out: the one that paths are relative to."`
	Target      *stageName    `yaml:"target" jsonschema_description:"The stage of the Dockerfile that becomes the image. Left out: the last one."`
	Args        buildArgs     `yaml:"args" jsonschema_description:"Build arguments. Numbers and booleans are given as they are written."`
	Secrets     []variable    `yaml:"secrets" jsonschema_description:"Names of environment variables, each of them a secret of the build by that id."`
	SecretFiles secretFiles   `yaml:"secret-files" jsonschema_description:"Secrets of the build whose content is a file's: paths by id."`
	CacheFrom   []cacheImage  `yaml:"cache-from" jsonschema_description:"Where results of steps are looked for, besides cache-to: references in registries."`
	CacheTo     *cacheImage   `yaml:"cache-to" jsonschema_description:"Where the results of all steps are kept and looked for: a reference in a registry. Left out: in the builder alone."`
	Builder     *builderPlace `yaml:"builder" jsonschema_description:"The address of a BuildKit: tcp://, unix:// or docker-container://. Left out: one is looked for."`

	Image     *givenImage `yaml:"image" jsonschema_description:"An image that was built elsewhere and is in a registry, with tag or digest: it is verified and gets the version's tag."`
	Archive   *localPath  `yaml:"archive" jsonschema_description:"An image on disk: an OCI layout (a folder or a tar archive), or what docker save has written."`
	Platforms []platform  `yaml:"platforms" jsonschema_description:"What a Dockerfile is built for, and what image or archive have to be there for. Left out: the builder's own; any."`
}

type copied struct {
	From  localPath `yaml:"from" jsonschema:"required" jsonschema_description:"A file or folder, relative to the folder of slipway.yaml (to the one above, where it lies in .github)."`
	To    imagePath `yaml:"to" jsonschema:"required" jsonschema_description:"An absolute path in the image."`
	Mode  *fileMode `yaml:"mode" jsonschema_description:"The permission bits of a file in octal. Left out: 0755 for what its owner may execute, 0644 for the rest."`
	UID   *userID   `yaml:"uid" jsonschema_description:"The user that owns it in the image. Left out: 0."`
	GID   *userID   `yaml:"gid" jsonschema_description:"The group that owns it in the image. Left out: 0."`
	Owner *owner    `yaml:"owner" jsonschema_description:"uid and gid in one, such as 1000:1000."`
}

type service struct {
	Port         *port      `yaml:"port" jsonschema_description:"What the app listens on; PORT tells it. Left out: 8080."`
	Health       *httpPath  `yaml:"health" jsonschema_description:"The path that answers 2xx or 3xx once a replica can serve. Left out: an accepted connection is enough."`
	Replicas     *count     `yaml:"replicas" jsonschema_description:"How many copies run. Left out: 1."`
	Env          variables  `yaml:"env" jsonschema_description:"Environment variables. Numbers and booleans are given as they are written."`
	Secrets      []variable `yaml:"secrets" jsonschema_description:"Names of environment variables whose values come from the environment that slipway runs in."`
	StartTimeout *limit     `yaml:"start-timeout" jsonschema_description:"The longest time until every replica is ready. Left out: 1m."`
	Drain        *pause     `yaml:"drain" jsonschema_description:"How long requests under way get to finish before a replica is ended. Left out: 10s."`
}

type check struct {
	Name     checkName   `yaml:"name" jsonschema:"required" jsonschema_description:"A name by which reports call it, unlike that of any other check in the list."`
	Get      *httpPath   `yaml:"get" jsonschema_description:"A path, with its query, that is requested from the version. Redirects are not followed."`
	Expect   *expression `yaml:"expect" jsonschema_description:"A CEL expression over status, body, headers and duration, for get alone. Left out: any status from 200 to 399."`
	Run      []argument  `yaml:"run" jsonschema_description:"A command with its arguments that passes by exit code 0. It finds URL, VERSION and ENVIRONMENT in its environment."`
	Timeout  *limit      `yaml:"timeout" jsonschema_description:"The longest time for one attempt. Left out: 10s."`
	Attempts *count      `yaml:"attempts" jsonschema_description:"How often it is tried before it counts as failed. Left out: 3."`
}

type tasks struct {
	Before *[]task `yaml:"before" jsonschema_description:"What is done before anything of the new version starts. The first that fails ends the deployment."`
	After  *[]task `yaml:"after" jsonschema_description:"What is done when the new version has all users for good. One that fails takes nothing back."`
}

type task struct {
	Name    taskLabel  `yaml:"name" jsonschema:"required" jsonschema_description:"A name of up to 30 characters, unlike that of any other task of the environment."`
	Run     []argument `yaml:"run" jsonschema:"required" jsonschema_description:"The command with its arguments, in the new version's image, with its variables and secrets."`
	Timeout *limit     `yaml:"timeout" jsonschema_description:"The longest time for it. Left out: 5m."`
	Env     variables  `yaml:"env" jsonschema_description:"Variables besides those of the service, over which they go."`
}

// environment has the keys of all environments; refusals says which of them one
// may not have.
type environment struct {
	Target   target      `yaml:"target" jsonschema:"required" jsonschema_description:"Where it runs."`
	After    *reference  `yaml:"after" jsonschema_description:"The environment that a version has to pass first."`
	Image    *repository `yaml:"image" jsonschema_description:"The repository that this environment pulls from: the image is copied there, digest for digest, before it is brought in. Left out: the app's."`
	Service  service     `yaml:"service" jsonschema_description:"What is different from the app's service here. env is merged key by key, secrets are added."`
	Env      variables   `yaml:"env" jsonschema_description:"Short for env in service."`
	Secrets  []variable  `yaml:"secrets" jsonschema_description:"Short for secrets in service."`
	Replicas *count      `yaml:"replicas" jsonschema_description:"Short for replicas in service."`
	Checks   *[]check    `yaml:"checks" jsonschema_description:"Checks in place of all of the app's; an empty list means none."`
	Tasks    tasks       `yaml:"tasks" jsonschema_description:"Tasks of its own: before and after each replace the app's list; an empty one means none."`
	Strategy *strategy   `yaml:"strategy" jsonschema_description:"How a new version gets its users. Left out: blue-green."`
	Judge    *judge      `yaml:"judge" jsonschema_description:"How the users of both versions decide, for canary and blue-green. Its keys go over those of the app's judge."`
	TTL      *lifetime   `yaml:"ttl" jsonschema_description:"How long a preview stays after its last deployment. Left out: 72h."`
	Limit    *count      `yaml:"limit" jsonschema_description:"How many previews there may be at once; the one deployed to longest ago makes room. Left out: 10."`
}

// targets are the kinds that have settings.
type targets struct {
	Sandbox    *sandbox    `yaml:"sandbox" jsonschema_description:"This machine, with nothing installed."`
	Kubernetes *kubernetes `yaml:"kubernetes" jsonschema_description:"A Kubernetes cluster, with nothing of Slipway's installed in it."`
}

type sandbox struct {
	Port *port `yaml:"port" jsonschema_description:"The port of the environment's stable URL. Left out: one is chosen and kept."`
}

type kubernetes struct {
	Context   *contextName `yaml:"context" jsonschema_description:"The context of the kubeconfig. Left out: its current one."`
	Namespace *placeName   `yaml:"namespace" jsonschema_description:"The namespace, in which {environment} stands for the environment's name. Left out: the one of the context."`
	Gateway   *gateway     `yaml:"gateway" jsonschema_description:"The Gateway (Gateway API) that brings users in and splits them. Left out: a Service inside the cluster alone."`
	PreStop   *limit       `yaml:"pre-stop" jsonschema_description:"How long a pod that is to end goes on serving, so that nobody is sent to it any more when it stops. Left out: 5s."`
	CPU       *quantity    `yaml:"cpu" jsonschema_description:"What each pod asks for, in CPUs such as 250m. Left out: 50m."`
	Memory    *quantity    `yaml:"memory" jsonschema_description:"What each pod asks for and may use, such as 128Mi. Left out: 64Mi, with no limit."`
	User      *podUser     `yaml:"user" jsonschema_description:"The number of the user that the app runs as, or image for the one that the image names. Left out: 65532."`
	Isolated  *truth       `yaml:"isolated" jsonschema_description:"Whether a NetworkPolicy lets nobody in but to the app's port. Left out: false."`
	Quota     *quota       `yaml:"quota" jsonschema_description:"What all pods of a namespace may ask for that is the environment's own, by {environment}. Left out: for previews the defaults below, otherwise no bounds."`

	Manifests     *localPath   `yaml:"manifests" jsonschema_description:"A file of YAML, or a folder of them, that says what runs, in place of what Slipway makes."`
	Kustomization *localPath   `yaml:"kustomization" jsonschema_description:"The folder of a kustomization.yaml that says what runs."`
	Chart         *localPath   `yaml:"chart" jsonschema_description:"A Helm chart that says what runs: its folder, or a packed one (.tgz)."`
	Release       *releaseName `yaml:"release" jsonschema_description:"What the chart's templates know as .Release.Name, in which {environment} stands for the environment's name. Left out: the app's name."`
	Values        []localPath  `yaml:"values" jsonschema_description:"Files of values for the chart; a later one goes over an earlier."`
	Set           []chartValue `yaml:"set" jsonschema_description:"Single values for the chart, such as replicas=3, which go over all files. {environment} stands for the environment's name."`
	Hooks         *truth       `yaml:"hooks" jsonschema_description:"Whether the chart's hooks are run. Left out: true."`
	HookTimeout   *limit       `yaml:"hook-timeout" jsonschema_description:"The longest time for each Job or Pod of a hook. Left out: 5m."`
	Workload      *objectName  `yaml:"workload" jsonschema_description:"Which Deployment or Rollout of the manifests is the app's, such as web, or Deployment/web. Left out: the only one that runs the app's image."`
	Container     *label       `yaml:"container" jsonschema_description:"Which of its containers is the app's, or which of the Rollout's. Left out: the only one, or the only one with the app's image."`
	Service       *objectName  `yaml:"service" jsonschema_description:"Which Service of the manifests brings users to the app. Left out: the only one that selects its pods."`
	Route         *objectName  `yaml:"route" jsonschema_description:"Which HTTPRoute of the manifests leads to that Service. Left out: the only one that does."`
	Rollout       *label       `yaml:"rollout" jsonschema_description:"The name of a Rollout of Argo Rollouts that is there: it runs the app, and is driven by its own steps. Left out: there is none."`
	Force         *truth       `yaml:"force" jsonschema_description:"Whether fields of the manifests that another tool owns are taken over. Left out: false, and such a field is refused."`
	Autoscale     *autoscale   `yaml:"autoscale" jsonschema_description:"The number of copies follows their load, by a HorizontalPodAutoscaler of each version. Left out: always as many as replicas says."`
}

type autoscale struct {
	Min *count `yaml:"min" jsonschema_description:"The fewest copies. Left out: replicas."`
	Max count  `yaml:"max" jsonschema:"required" jsonschema_description:"The most copies; not below min."`
	CPU *load  `yaml:"cpu" jsonschema_description:"How busy the copies are kept on average, in percent of the CPU that each asks for. Left out: 70%."`
}

type gateway struct {
	Name      label     `yaml:"name" jsonschema:"required" jsonschema_description:"The Gateway's name."`
	Namespace *label    `yaml:"namespace" jsonschema_description:"The Gateway's namespace. Left out: that of the environment."`
	Host      placeHost `yaml:"host" jsonschema:"required" jsonschema_description:"The host name that users ask for, in which {environment} stands for the environment's name."`
	Testers   *testers  `yaml:"testers" jsonschema_description:"Whose requests get a new version as soon as it is started, before any user."`
	Sticky    *sticky   `yaml:"sticky" jsonschema_description:"By what users are known, so that they stay on their side while shares grow. Left out: each request is placed anew."`
}

type quota struct {
	CPU    *quantity `yaml:"cpu" jsonschema_description:"CPUs. Left out: room for four versions of the app, and at least 2."`
	Memory *quantity `yaml:"memory" jsonschema_description:"Memory. Left out: room for four versions of the app, and at least 2Gi."`
	Pods   *count    `yaml:"pods" jsonschema_description:"How many pods there may be. Left out: four times the replicas, and at least 20."`
}

type testers struct {
	Header headerName  `yaml:"header" jsonschema:"required" jsonschema_description:"The header that testers send."`
	Value  headerValue `yaml:"value" jsonschema:"required" jsonschema_description:"Its value, to the letter."`
}

type sticky struct {
	Cookie *cookieName `yaml:"cookie" jsonschema_description:"A cookie by which the app knows its users, such as that of its sessions."`
	Header *headerName `yaml:"header" jsonschema_description:"A header that names users, set by what is in front of the gateway."`
	EndsIn *ending     `yaml:"ends-in" jsonschema_description:"What its values end in, evenly spread: hex (3 digits), decimal (4 digits) or base64 (2 characters, without padding). Left out: hex."`
}

// strategies are named as in deploy.Kinds.
type strategies struct {
	Recreate  *recreate  `yaml:"recreate" jsonschema_description:"Stops the old version and starts the new one, with a downtime between."`
	Rolling   *rolling   `yaml:"rolling" jsonschema_description:"Replaces replicas in batches."`
	BlueGreen *blueGreen `yaml:"blue-green" jsonschema_description:"Runs both versions, switches all users at once and keeps the old side for a while."`
	Canary    *canary    `yaml:"canary" jsonschema_description:"Gives the new version a growing share of the users."`
}

type recreate struct {
	Hold   *pause     `yaml:"hold" jsonschema_description:"How long the new version is watched. Left out: 0s."`
	Errors *tolerance `yaml:"errors" jsonschema_description:"The largest share of 5xx answers that is let pass. Left out: 1%."`
}

type rolling struct {
	Batch  *count     `yaml:"batch" jsonschema_description:"How many replicas are replaced at a time. Left out: 1."`
	Hold   *pause     `yaml:"hold" jsonschema_description:"How long each batch is watched. Left out: 0s."`
	Errors *tolerance `yaml:"errors" jsonschema_description:"The largest share of 5xx answers that is let pass. Left out: 1%."`
}

type blueGreen struct {
	Keep    *pause     `yaml:"keep" jsonschema_description:"How long the old side is kept after the switch, so that going back is instant. Left out: 30s."`
	Bake    *bake      `yaml:"bake" jsonschema_description:"How long the new version is watched on after keep, against what the old one did, which stays up without users meanwhile. Left out: not at all."`
	Errors  *tolerance `yaml:"errors" jsonschema_description:"The largest share of 5xx answers that is let pass, whatever the old version does. Left out: what the judge says."`
	Approve approvals  `yaml:"approve" jsonschema_description:"Where a person has to say resume: 0% alone, before the first user. Left out: nowhere."`
}

type canary struct {
	Steps    steps      `yaml:"steps" jsonschema_description:"The shares of the users, ascending, the last one 100%. Left out: 10%, 50%, 100%."`
	Pace     *pace      `yaml:"pace" jsonschema_description:"What makes the next step: time (each is watched for hold), or evidence (as soon as it is proved that the new version is not worse). Left out: time."`
	Baseline *baseline  `yaml:"baseline" jsonschema_description:"What the new version is compared with: live (the users of what is live), or fresh (those of as many fresh replicas of it, with as large a share). Left out: live."`
	Hold     *pause     `yaml:"hold" jsonschema_description:"How long each step is watched, with pace: evidence at least. Left out: 30s, and 15s with pace: evidence."`
	Bake     *bake      `yaml:"bake" jsonschema_description:"How long the new version is watched on after the last step, against what the old one did, which stays up without users meanwhile. Left out: not at all."`
	Errors   *tolerance `yaml:"errors" jsonschema_description:"The largest share of 5xx answers that is let pass, whatever the old version does. Left out: what the judge says."`
	Approve  approvals  `yaml:"approve" jsonschema_description:"The shares at which, once they have passed, a person has to say resume, ascending: 0% (before the first user) and steps below 100%. Left out: nowhere."`
}
