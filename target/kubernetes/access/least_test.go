package access

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the Role into the document anew")

const document = "../../../docs/kubernetes-rbac.md"

// documented is the Role with each part that not everybody needs marked.
func documented() string {
	var b strings.Builder
	b.WriteString("```yaml\n" + role("slipway", "shop", Rules(Least("shop", Needs{}))["shop"]))
	for _, part := range []struct {
		title string
		needs Needs
	}{
		{"traffic by a gateway", Needs{Routes: true}},
		{"canary and rolling without a gateway", Needs{Shares: true}},
		{"autoscaling", Needs{Scaling: true}},
		{"network policies", Needs{Policies: true}},
		{"work before and after a release", Needs{Hooks: true}},
		{"StatefulSets in your manifests", Needs{Ordered: true}},
		{"CPU and memory for the judge", Needs{Usage: true}},
	} {
		all := Least("shop", part.needs)[len(Least("shop", Needs{})):]
		_, rules, _ := strings.Cut(role("slipway", "shop", Rules(all)["shop"]), "rules:\n")
		b.WriteString("# " + part.title + "\n" + rules)
	}
	return b.String() + "```\n"
}

// between replaces what stands between two marks.
func between(text, mark, now string) string {
	before, rest, _ := strings.Cut(text, "<!-- "+mark+" -->\n")
	_, after, _ := strings.Cut(rest, "<!-- /"+mark+" -->\n")
	return before + "<!-- " + mark + " -->\n" + now + "<!-- /" + mark + " -->\n" + after
}

func TestTheDocumentHasTheRole(t *testing.T) {
	is, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	want := between(string(is), "role", documented())
	want = between(want, "gateway", "```yaml\n"+role("slipway", "gateways", Rules([]Permission{Gateway("gateways", "public")})["gateways"])+"```\n")
	want = between(want, "driven", "```yaml\n"+role("slipway", "shop", Rules(Driven("shop"))["shop"])+"```\n")
	want = between(want, "driven-set", "```yaml\n"+role("slipway", "shop", Rules(DrivenSet("shop"))["shop"])+"```\n")
	want = between(want, "previews", "```yaml\n"+role("slipway-previews", "", Rules(previews())[""])+"```\n")
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if string(is) != want && !*update {
		t.Errorf("%s has another Role than the code: go test ./target/kubernetes/access -run Document -update", document)
	}
}

// A verb is written where every rule of RBAC has it.
func TestLeastHasVerbsThatThereAre(t *testing.T) {
	seen := map[Permission]bool{}
	for _, p := range append(Least("shop", Everything), Applied("", "pods", "shop")...) {
		if !strings.Contains(" "+strings.Join(order, " ")+" ", " "+p.Verb+" ") || p.Resource == "" || (p.Namespace == "") != p.Wide {
			t.Errorf("odd: %+v", p)
		}
		seen[p] = true
	}
	if len(seen) < 60 {
		t.Errorf("only %d", len(seen))
	}
}
