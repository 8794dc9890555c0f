# A static binary and the certificates it needs to reach the engine over TLS, and nothing else.
#
#   docker build --build-arg VERSION=v1.2.3 -t syncgate .
#   docker run -p 8080:8080 -e SYNCGATE_ENGINE_URL=http://engine:9000 syncgate

FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules first: they change less often than the code, and this layer is kept.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN make build VERSION="$VERSION"

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/bin/syncgate /syncgate
# nobody in particular, by number: there is no /etc/passwd here
USER 65532:65532
# Clients and callbacks. The admin listener, 9090, is on the container's loopback unless listen.admin says otherwise.
EXPOSE 8080
# serve and health find the configuration in the same place: SYNCGATE_CONFIG names a file, SYNCGATE_... variables set keys.
HEALTHCHECK --interval=5s --timeout=4s --start-period=2s --retries=2 CMD ["/syncgate", "health"]
# Give it drain.delay and drain.timeout to end: docker stop -t 75.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/syncgate"]
CMD ["serve"]
