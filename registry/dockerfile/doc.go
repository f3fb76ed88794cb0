// Package dockerfile makes images of Dockerfiles by BuildKit: it finds a
// builder, has it build, tells each step, and brings the image to this machine
// as it will be pushed.
//
// The builder never pushes. What it made is written to this machine's disk
// first, so that the rules about tags hold for every image, nothing is sent
// before all is known that could be wrong, a registry that only this machine
// reaches will do, and no password goes to the builder but for what it pulls.
package dockerfile
