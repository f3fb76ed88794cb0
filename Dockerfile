# syntax=docker/dockerfile:1

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/slipway ./cmd/slipway \
 && ln -s slipway /out/slipway-settle \
 && mkdir -p /out/etc/ssl/certs \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

# busybox rather than nothing at all: checks are the user's own scripts, and a
# script needs a shell.
FROM busybox:1.37-musl
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Slipway" \
      org.opencontainers.image.description="Brings a commit to its users, and back if it must" \
      org.opencontainers.image.source="https://github.com/slipway-ci/slipway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A folder as a whole, so that the link stays a link.
COPY --from=build /out/ /
ENTRYPOINT ["/slipway"]
