package access

import (
	"encoding/base64"
	"maps"
	"slices"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Secrets are the values in the text of a kubeconfig that nobody may see: tokens,
// passwords, keys, and what login programs are given. A text that is no kubeconfig
// is one secret as a whole, an empty one holds none. Nothing is refused.
func Secrets(kubeconfig string) []string {
	if kubeconfig == "" {
		return nil
	}
	config, err := clientcmd.Load([]byte(kubeconfig))
	if err != nil || len(config.AuthInfos) == 0 {
		return []string{kubeconfig}
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(config.AuthInfos)) {
		all = append(all, secretsOf(config.AuthInfos[name])...)
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

func secretsOf(login *api.AuthInfo) []string {
	all := []string{
		login.Token, login.Password,
		// In base64 it stands in the file, plain in an error of a library's.
		base64.StdEncoding.EncodeToString(login.ClientKeyData), string(login.ClientKeyData),
	}
	if p := login.AuthProvider; p != nil {
		for _, key := range slices.Sorted(maps.Keys(p.Config)) {
			all = append(all, p.Config[key])
		}
	}
	if e := login.Exec; e != nil {
		for _, v := range e.Env {
			all = append(all, v.Value)
		}
	}
	return all
}
