package config

import "github.com/slipway-ci/slipway/deploy"

// login is how the registry is logged in to. Without an image there is none to
// log in to.
func (r *reader) login(d *document) *deploy.Login {
	l := d.Login
	if l == nil {
		return nil
	}
	if r.at(&d.Image).value == nil {
		r.add(r.at(&d.Login).keyMark(), Error{
			Message: "login: there is no image, and the registry of the sandbox asks for no password",
			Hint:    "add " + examples["image"] + ", or remove login",
		})
	}
	return &deploy.Login{
		Exchange: string(l.Exchange),
		Audience: string(l.Audience),
		User:     string(or(l.User, deploy.DefaultLoginUser)),
		Scope:    string(or(l.Scope, "")),
	}
}

// exchangePattern is an address without a user, a fragment or a way for others
// to listen.
const exchangePattern = `^(https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\]))(:[0-9]{1,5})?` +
	`([/?]([!"$&-~]|%[0-9A-Fa-f]{2})*)?$`

var (
	exchangeForm = newForm(exchangePattern,
		"an https address", "write one such as https://sts.googleapis.com/v1/token: a token goes over https alone")
	audienceForm = newForm(`^\S{1,512}$`,
		"a name or address of up to 512 characters without spaces", "write what the service calls its audience, such as //iam.googleapis.com/projects/…")
	// A colon would end the name in an Authorization header (RFC 7617).
	userForm = newForm(`^[^\s:]{1,256}$`,
		"a user name of up to 256 characters without spaces or colons", "write one such as oauth2accesstoken")
	// RFC 6749, appendix A.4.
	scopeForm = newForm(`^[!#-\[\]-~]+( [!#-\[\]-~]+)*$`,
		"scopes with one space between", "write one such as https://www.googleapis.com/auth/cloud-platform")
)

// The texts of a login.
type (
	exchange string
	audience string
	userName string
	scope    string
)

func (v *exchange) read(r *reader, p place) bool { return readText(r, p, v, exchangeForm) }
func (v *audience) read(r *reader, p place) bool { return readText(r, p, v, audienceForm) }
func (v *userName) read(r *reader, p place) bool { return readText(r, p, v, userForm) }
func (v *scope) read(r *reader, p place) bool    { return readText(r, p, v, scopeForm) }
