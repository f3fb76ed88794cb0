package access

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/transport"

	"github.com/slipway-ci/slipway/deploy"
)

// accountFolder is what a pod has from its service account.
const accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// chosen is what the options come to, before anybody is asked.
type chosen struct {
	config  *rest.Config
	context string
	// cloud is whose library logs in; empty when none does.
	cloud     string
	namespace string
	// source says where it was found, for people.
	source string
	// login is how it logs in; nil in a cluster.
	login *api.AuthInfo
}

// choose finds the kubeconfig and the context in it.
func choose(o Options) (chosen, error) {
	config, source, err := kubeconfig(o)
	if err != nil {
		return chosen{}, err
	}
	if config == nil {
		return inCluster(o)
	}
	name, err := contextOf(config, o.Context, source)
	if err != nil {
		return chosen{}, err
	}
	c := chosen{context: name, source: source, login: config.AuthInfos[config.Contexts[name].AuthInfo]}
	if err := whole(config, name, source); err != nil {
		return chosen{}, err
	}
	login, err := stands(c.login, name, source, config.Clusters[config.Contexts[name].Cluster].Server)
	if err != nil {
		return chosen{}, err
	}
	if login != nil {
		c.cloud = login.Name
		c.login.Exec = nil
	}
	client := clientcmd.NewNonInteractiveClientConfig(*config, name, &clientcmd.ConfigOverrides{}, nil)
	if c.config, err = client.ClientConfig(); err != nil {
		return chosen{}, deploy.Usage("correct the kubeconfig; kubectl config view --minify --context "+name+" shows this part of it",
			"%s, context %q: %w", source, name, err)
	}
	if login != nil {
		c.config.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedTokenSource(login)))
	}
	c.namespace = first(o.Namespace, config.Contexts[name].Namespace, "default")
	return c, nil
}

// whole says whether what a context names is there.
func whole(config *api.Config, name, source string) error {
	context := config.Contexts[name]
	hint := "see it with: kubectl config view --minify --context " + name
	if config.Clusters[context.Cluster] == nil {
		return deploy.Usage(hint, "context %q of %s is on the cluster %q, which is not described there", name, source, context.Cluster)
	}
	if context.AuthInfo != "" && config.AuthInfos[context.AuthInfo] == nil {
		return deploy.Usage(hint, "context %q of %s logs in as %q, which is not described there", name, source, context.AuthInfo)
	}
	return nil
}

// kubeconfig reads what the options name, and says where that was. Without any it
// is nil: then the process may run in a cluster.
func kubeconfig(o Options) (*api.Config, string, error) {
	if strings.TrimSpace(o.Kubeconfig) != "" {
		config, err := clientcmd.Load([]byte(o.Kubeconfig))
		if err != nil {
			// The cause may quote what it could not read, and that may be a secret.
			return nil, "", deploy.Usage("give the whole text of a kubeconfig, as kubectl config view --raw --minify --flatten prints it",
				"the kubeconfig that was given is not one")
		}
		return config, "the kubeconfig that was given", nil
	}
	files := o.Files
	if len(files) == 0 && o.Home != "" {
		files = existing([]string{filepath.Join(o.Home, ".kube", "config")})
	}
	if len(files) == 0 {
		return nil, "", nil
	}
	there := existing(files)
	if len(there) == 0 {
		return nil, "", deploy.Usage("name a file that exists in KUBECONFIG, or give the text of one: the input kubeconfig, or SLIPWAY_KUBECONFIG",
			"there is no kubeconfig at %s", strings.Join(files, ", "))
	}
	source := strings.Join(there, ", ")
	config, err := (&clientcmd.ClientConfigLoadingRules{Precedence: there, WarnIfAllMissing: false}).Load()
	if err != nil {
		return nil, "", deploy.Usage("check it with: kubectl config view --kubeconfig FILE", "%s cannot be read as a kubeconfig%s", source, refusal(err))
	}
	return config, source, nil
}

// refusal is why a file could not be opened; what stands in it is not told.
func refusal(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return ": permission denied"
	}
	return ""
}

func existing(files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		_, err := os.Stat(f)
		return f == "" || errors.Is(err, fs.ErrNotExist)
	})
}

// contextOf is the context that is meant: the named one, or else the current one.
func contextOf(config *api.Config, name, source string) (string, error) {
	if name == "" {
		name = config.CurrentContext
	}
	names := slices.Sorted(maps.Keys(config.Contexts))
	if name == "" && len(names) == 1 {
		return names[0], nil
	}
	hint := "contexts there are: " + strings.Join(names, ", ")
	switch {
	case len(names) == 0:
		return "", deploy.Usage("make one with: kubectl config set-context NAME --cluster CLUSTER --user USER", "%s has no context", source)
	case name == "":
		return "", deploy.Usage("name one as context; "+hint, "%s has no current context", source)
	case config.Contexts[name] == nil:
		if near := nearest(name, names); near != "" {
			hint = fmt.Sprintf("did you mean %q? %s", near, hint)
		}
		return "", deploy.Usage(hint, "%s has no context %q", source, name)
	}
	return name, nil
}

// nearest is the name that was probably meant; empty where none is close.
func nearest(name string, names []string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, n := range names {
		if d := levenshtein.ComputeDistance(name, n); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// inCluster is the way from a pod, by its service account.
func inCluster(o Options) (chosen, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		tried := "no kubeconfig was given, KUBECONFIG names none"
		if o.Home != "" {
			tried += ", there is no " + filepath.Join(o.Home, ".kube", "config")
		}
		return chosen{}, deploy.Usage("give the input kubeconfig, or SLIPWAY_KUBECONFIG (a secret with the text of one), set KUBECONFIG, or log in with the cloud's action before this one",
			"no cluster is named: %s, and this process does not run in one", tried)
	}
	if o.Context != "" {
		return chosen{}, deploy.Usage("leave out the context, or give a kubeconfig", "there is no context %q: this process runs in the cluster, without a kubeconfig", o.Context)
	}
	namespace, _ := os.ReadFile(filepath.Join(accountFolder, "namespace"))
	return chosen{config: config, namespace: first(o.Namespace, strings.TrimSpace(string(namespace)), "default"), source: "the service account of this pod"}, nil
}

// first is the first that is not empty.
func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// Files are the kubeconfigs that the value of the variable KUBECONFIG lists.
func Files(variable string) []string {
	return slices.DeleteFunc(filepath.SplitList(variable), func(f string) bool { return f == "" })
}
