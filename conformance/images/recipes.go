package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/kubernetes/test/utils/image"
)

type base int

const (
	fromNothing base = iota
	fromBusybox
	fromDebian
)

// packages are what the commands of the tests call.
var packages = []string{"bash", "bash-static", "bind9-dnsutils", "busybox-static", "curl", "dash", "iperf", "iproute2", "libc-bin", "netcat-openbsd", "nginx-light", "socat"}

// recipe says how one image of the suite is made.
type recipe struct {
	id     image.ImageID
	base   base
	files  func(*layer) *layer
	config v1.Config
}

func recipes(programs, sources string) []recipe {
	program := func(file string) string { return filepath.Join(programs, file) }
	source := func(file string) string { return filepath.Join(sources, "test/images", file) }
	agnhost := func(l *layer) *layer {
		return l.file("agnhost", program("agnhost"), 0o755).link("agnhost-2", "agnhost").dir("uploads", 0o755).
			file("localhost.crt", source("agnhost/porter/localhost.crt"), 0o644).file("localhost.key", source("agnhost/porter/localhost.key"), 0o600)
	}
	pet := func(name string) func(*layer) *layer {
		return func(l *layer) *layer {
			return agnhost(l).file(name+".jpg", source(name+"/html/"+name+".jpg"), 0o644).file("data.json", source(name+"/html/data.json"), 0o644)
		}
	}
	serve := v1.Config{Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"}}
	show := v1.Config{Entrypoint: []string{"/agnhost"}, Cmd: []string{"test-webserver"}}
	shell := v1.Config{Cmd: []string{"sh"}}
	nginx := v1.Config{Cmd: []string{"nginx", "-g", "daemon off;"}}
	own := func(name, from string, mode int64) func(*layer) *layer {
		return func(l *layer) *layer { return l.file(name, program(from), mode) }
	}
	return []recipe{
		{image.Agnhost, fromDebian, agnhost, serve},
		{image.AgnhostPrev, fromDebian, agnhost, serve},
		{image.APIServer, fromNothing, own("sample-apiserver", "sample-apiserver", 0o755), v1.Config{Entrypoint: []string{"/sample-apiserver"}}},
		{image.BusyBox, fromBusybox, nil, shell},
		{image.Etcd, fromBusybox, own("usr/local/bin/etcd", "etcd", 0o755), v1.Config{Cmd: []string{"etcd"}}},
		{image.GlibcDnsTesting, fromDebian, nil, v1.Config{Cmd: []string{"bash"}}},
		{image.Kitten, fromDebian, pet("kitten"), show},
		{image.Nautilus, fromDebian, pet("nautilus"), show},
		{image.Nginx, fromDebian, nginxFiles, nginx},
		{image.NginxNew, fromDebian, nginxFiles, nginx},
		{image.Nonewprivs, fromBusybox, own("usr/local/bin/nnp", "nonewprivs", 0o6755), v1.Config{Cmd: []string{"nnp"}}},
		{image.NonRoot, fromBusybox, nil, v1.Config{Cmd: []string{"sh"}, User: "1234"}},
		{image.Pause, fromNothing, own("pause", "pause", 0o755), v1.Config{Entrypoint: []string{"/pause"}, User: "65535:65535"}},
	}
}

// nginxFiles serve one page where the official image has it; the package's own settings expect folders that only its scripts make.
func nginxFiles(l *layer) *layer {
	settings := `worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr;
events { worker_connections 256; }
http {
  access_log /dev/stdout;
  client_body_temp_path /tmp/nginx-body;
  proxy_temp_path /tmp/nginx-proxy;
  fastcgi_temp_path /tmp/nginx-fastcgi;
  uwsgi_temp_path /tmp/nginx-uwsgi;
  scgi_temp_path /tmp/nginx-scgi;
  server { listen 80; root /usr/share/nginx/html; }
}
user daemon daemon;
`
	return l.text("etc/nginx/nginx.conf", settings).dir("var/log/nginx", 0o755).dir("var/lib/nginx", 0o755).
		dir("usr/share/nginx/html", 0o755).text("usr/share/nginx/html/index.html", "<h1>Welcome to nginx!</h1>\n")
}

var errNotThere = errors.New("the Debian tree lacks a file")

// extract copies one file of a tree and makes it executable.
func extract(tree []byte, wanted, to string) error {
	entries := tar.NewReader(bytes.NewReader(tree))
	for {
		header, err := entries.Next()
		if err == io.EOF {
			return fmt.Errorf("%w: %s", errNotThere, wanted)
		}
		if err != nil {
			return err
		}
		if clean(header.Name) != wanted {
			continue
		}
		content, err := io.ReadAll(entries)
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o755)
	}
}
